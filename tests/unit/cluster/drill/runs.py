"""Runs made by a model: a store that answers at once, save a shard that is away for a while."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from cluster.drill import record
from cluster.drill.history import AUDITOR, Call, History, HistoryFile, Kind, Outcome, State
from cluster.drill.record import Event, Expectation, LoadUsed, Run, What

SECOND = 1_000_000_000
ORIGIN = 5 * SECOND
"""When simulated runs begin, on a clock that began before them."""
FAULT, OUTAGE, LENGTH = 2.0, 1.5, 6.0
"""Seconds: the fault after the origin, how long the first shard is away, the load."""
GROUPS = ("shard-1", "shard-2")


@dataclass
class Model:
    """Lists by key, and clients in a closed loop that call it. Times in seconds since ORIGIN."""

    seed: int = 0
    clients: int = 4
    pause: float = 0.08
    away: tuple[tuple[str, float, float], ...] = (("shard-1", FAULT, FAULT + OUTAGE),)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def run(self, length: float = LENGTH) -> History:
        """What the clients see of it, and an auditor at the end."""
        chance = random.Random(self.seed)  # noqa: S311 - a load, not a secret
        count = itertools.count()
        queue: list[tuple[float, int, Callable[[float], None]]] = []

        def at(moment: float, do: Callable[[float], None]) -> None:
            heapq.heappush(queue, (moment, next(count), do))

        def begin(client: int, number: int, now: float) -> None:
            if now >= length:
                return
            group = GROUPS[client % len(GROUPS)]
            key = f"{group}/{number // 12:06d}-{client}"
            token = f"{client}-{number}"
            kind = Kind.READ if number % 3 == 2 else Kind.APPEND
            kind = Kind.INSERT if number % 12 == 0 else kind
            kind = Kind.DELETE if number % 24 == 11 else kind
            effect = self._served(group, now + chance.uniform(0.002, 0.01))
            end = effect + chance.uniform(0.002, 0.01)

            def happen(_: float) -> None:
                call = self._apply(
                    Call(
                        client=client,
                        kind=kind,
                        key=key,
                        begin=nanoseconds(now),
                        end=nanoseconds(end),
                        outcome=Outcome.OK,
                        token=token if kind in (Kind.INSERT, Kind.APPEND) else "",
                        group=group,
                    )
                )
                at(end, lambda _: self.calls.append(call))
                then = end + chance.uniform(0.5, 1.5) * self.pause
                at(then, lambda moment: begin(client, number + 1, moment))

            at(effect, happen)

        for client in range(self.clients):
            at(0.01 * client, lambda moment, client=client: begin(client, 0, moment))
        while queue:
            moment, _, do = heapq.heappop(queue)
            do(moment)
        self._audit(length + 1)
        return History(list(self.calls))

    def _served(self, group: str, moment: float) -> float:
        for name, since, until in self.away:
            if name == group and since <= moment < until:
                return until + (moment - since) / 1000
        return moment

    def _apply(self, call: Call) -> Call:
        """Let it take effect; the call with what it saw or left behind."""
        before = self.lists.get(call.key, ())
        if call.token:
            self.lists[call.key] = (*before, call.token)
        if call.kind is Kind.DELETE:
            del self.lists[call.key]
        seen = self.lists.get(call.key, before)
        return call if call.kind is Kind.INSERT else replace(call, state=State(seen, len(seen)))

    def _audit(self, now: float) -> None:
        for key in {call.key: None for call in self.calls}:
            seen = self.lists.get(key)
            state = None if seen is None else State(seen, len(seen))
            begin, end = nanoseconds(now), nanoseconds(now + 0.001)
            call = Call(AUDITOR, Kind.READ, key, begin, end, Outcome.OK, state=state)
            self.calls.append(
                replace(call, found=int(seen is not None), group=key.partition("/")[0])
            )


def nanoseconds(seconds: float) -> int:
    """A moment of the simulated clock."""
    return ORIGIN + round(seconds * SECOND)


def event(seconds: float, what: What, text: str = "", **more: Any) -> Event:
    """An event at so many seconds after the origin."""
    return Event(nanoseconds(seconds), what, text, **more)


EVENTS = (
    event(FAULT, What.FAULT, "SIGKILL shard-1-1"),
    event(FAULT + 0.05, What.EVIDENCE, "the process is gone"),
    event(
        FAULT + 1.4, What.PRIMARY, set_name="shard-1", node="shard-1-2", term=2, text="was elected"
    ),
    event(FAULT + 2, What.UNDONE, "shard-1-1 was started"),
    event(FAULT + 3, What.WHOLE, "3 of 3 members, lag 0 s"),
)
RUN = Run(
    scenario="primary-killed",
    title="A shard's primary is killed",
    hypothesis="Another member is elected; no consumer sees an error.",
    expectation=Expectation(gap=2.55, others_gap=0.5, others_slower=2.0, elections=1, whole=10),
    target="local",
    through="routers",
    seed=7,
    began="2026-01-02T03:04:05Z",
    origin=ORIGIN,
    ended=nanoseconds(LENGTH + 2),
    concerned=("shard-1",),
    load=LoadUsed(clients=4, seconds=LENGTH, maximum=2000, cpu=0.1),
    election_timeout=1.7,
    events=EVENTS,
    settings={"routers": "2", "faults": "1"},
    versions={"mongod": "6.0.5"},
)


def leave(folder: Path, history: History, run: Run = RUN) -> Path:
    """The folder that such a run leaves."""
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder, run)
    with HistoryFile(folder / "history.jsonl") as file:
        for one in history.records():
            file.append(one)
    return folder

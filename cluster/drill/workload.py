"""Concurrent clients in a closed loop: each makes one call after the other and records it.

Every client stays with one group of keys, so that a group whose shard has failed does not hold up
the clients of the others; within a group all clients share the keys. See history.py for what a key
holds, and keys.py for the mix of calls.
"""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from cluster.drill.history import (
    AUDITOR,
    Call,
    Guarantee,
    History,
    HistoryFile,
    Kind,
    Outcome,
    State,
)
from cluster.drill.keys import Intent, Keys
from cluster.drill.recorder import Recorder
from cluster.drill.target import Answer, Target


@dataclass(frozen=True)
class Load:
    """How much: `clients` threads, `keys` live keys in each group, `tokens` in a key's life."""

    clients: int = 8
    keys: int = 4
    tokens: int = 40
    seed: int = 0


class Workload:
    """A load on a target. As a context manager it runs while the block does.

    `finish`, after the block or within it, ends the load and gives the history.
    """

    def __init__(self, target: Target, load: Load, file: HistoryFile | None = None) -> None:
        self._target = target
        self._load = load
        self._recorder = Recorder(file)
        self._stop = threading.Event()
        self._keys = {group: Keys(group, load.keys, load.tokens) for group in target.groups}
        self._threads = [
            threading.Thread(target=self._client, args=(n,), name=f"drill-{n}", daemon=True)
            for n in range(load.clients)
        ]
        self.mark = self._recorder.mark
        self.wait_for_writes = self._recorder.wait_for_writes

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()

    def run(self, seconds: float) -> None:
        """Let the clients go on for this long."""
        self._stop.wait(seconds)

    def finish(self, seconds: float = 30.0) -> History:
        """End the load, look at what is left of every key, and give the history.

        Calls that have not returned after `seconds` are recorded without an answer; the look has
        `seconds` too, and reads that still fail by then are recorded as failed.
        """
        self._stop.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._recorder.give_up()
        self._audit(time.monotonic() + seconds)
        return self._recorder.history

    def _client(self, number: int) -> None:
        chance = random.Random(f"{self._load.seed}/{number}")  # noqa: S311 - a load, not a secret
        group = self._target.groups[number % len(self._target.groups)]
        keys = self._keys[group]
        made = 0
        while not self._stop.is_set():
            made += 1
            intent = keys.choose(chance, f"{number}-{made}")
            call = self._call(number, group, intent)
            if call.kind is Kind.INSERT:
                keys.inserted(call.key, possible=call.outcome is not Outcome.FAILED)
            if call.outcome is not Outcome.OK:
                self._stop.wait(0.05)  # a target that refuses at once is not to be flooded

    def _call(self, client: int, group: str, intent: Intent) -> Call:
        """Make one call and record it."""
        guarantee = self._target.guarantee
        begun = Call(
            client=client,
            kind=intent.kind,
            key=intent.key,
            begin=time.monotonic_ns(),
            end=0,
            outcome=Outcome.UNKNOWN,
            token=intent.token,
            guarantee=guarantee if intent.kind is Kind.READ else Guarantee.LINEARIZABLE,
            group=group,
        )
        self._recorder.begin(begun)
        try:
            answer = self._send(intent)
            end = time.monotonic_ns()
            ended = replace(
                begun,
                end=end,
                outcome=Outcome.OK,
                found=answer.found,
                state=answer.state,
                # A write that found nothing is a look at the key, no better than a read.
                guarantee=begun.guarantee if answer.found else guarantee,
            )
        except Exception as error:  # noqa: BLE001 - whatever a client meets belongs to the record
            end = time.monotonic_ns()
            outcome = Outcome.FAILED if begun.kind is Kind.READ else self._target.outcome(error)
            text = f"{type(error).__name__}: {error}"
            ended = replace(begun, end=end, outcome=outcome, error=text)
        self._recorder.end(begun, ended)
        return ended

    def _send(self, intent: Intent) -> Answer:
        match intent.kind:
            case Kind.INSERT:
                return self._target.insert(intent.key, intent.token)
            case Kind.APPEND:
                return self._target.append(intent.key, intent.token)
            case Kind.READ:
                return self._target.read(intent.key)
            case Kind.DELETE:
                return self._target.delete(intent.key)

    def _audit(self, deadline: float) -> None:
        """Read every key by itself, then everything at once, for what a read by key cannot show."""
        keys = {call.key: call.group for call in self._recorder.history.calls}

        def read(key: str) -> None:
            intent = Intent(Kind.READ, key, "")
            while (
                self._call(AUDITOR, keys[key], intent).outcome is not Outcome.OK
                and time.monotonic() < deadline
            ):
                time.sleep(0.1)

        with ThreadPoolExecutor(self._load.clients) as readers:
            list(readers.map(read, keys))
        self._scan(keys)

    def _scan(self, keys: dict[str, str]) -> None:
        begin = time.monotonic_ns()
        found: Counter[str] = Counter()
        states: dict[str, State] = {}
        for key, state in self._target.scan():
            found[key] += 1
            states[key] = state
        end = time.monotonic_ns()
        for key, documents in found.items():
            call = Call(
                client=AUDITOR,
                kind=Kind.READ,
                key=key,
                begin=begin,
                end=end,
                outcome=Outcome.OK,
                found=documents,
                state=states[key],
                # A scan of several shards sees each at its own time.
                guarantee=Guarantee.MAJORITY,
                group=keys.get(key, ""),
            )
            self._recorder.begin(call)
            self._recorder.end(call, call)

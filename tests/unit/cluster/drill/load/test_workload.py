"""The workload against a store in memory: a correct one passes, each way to spoil it is found."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from cluster.drill.history import (
    AUDITOR,
    Guarantee,
    History,
    HistoryFile,
    Kind,
    Outcome,
    State,
    read,
)
from cluster.drill.judge.checker import Rule, check, steps_back
from cluster.drill.judge.summary import summarise
from cluster.drill.load.workload import Effect, Load, Workload


class RefusedError(Exception):
    """Raised before anything is written."""


class Store:
    """Lists in memory under one lock; the simplest store there can be."""

    groups = ("one", "two")
    guarantee = firmest = scanned = Guarantee.LINEARIZABLE
    unique = True
    repeats = False

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.scans = 0
        self.lists: dict[str, list[str]] = {}

    def insert(self, key: str, token: str) -> Effect:
        with self.lock:
            if key in self.lists:
                return Effect(0)
            self.lists[key] = [token]
        return Effect()

    def append(self, key: str, token: str) -> Effect:
        with self.lock:
            if key not in self.lists:
                return Effect(0)
            self.lists[key].append(token)
            return Effect()

    def read(self, key: str, guarantee: Guarantee) -> Effect:  # noqa: ARG002 - there is one
        with self.lock:
            return self._answer(self.lists.get(key))

    def delete(self, key: str) -> Effect:
        with self.lock:
            return self._answer(self.lists.pop(key, None))

    def scan(self, prefix: str = "") -> Iterable[tuple[str, State]]:
        with self.lock:
            self.scans += 1
            lists = {key: held for key, held in self.lists.items() if key.startswith(prefix)}
            return [(key, State(tuple(held), len(held))) for key, held in lists.items()]

    def outcome(self, error: Exception) -> Outcome:
        return Outcome.FAILED if isinstance(error, RefusedError) else Outcome.UNKNOWN

    def _answer(self, held: list[str] | None) -> Effect:
        return Effect(0) if held is None else Effect(1, State(tuple(held), len(held)))


class Forgetful(Store):
    """Acknowledges every tenth append without making it."""

    def append(self, key: str, token: str) -> Effect:
        return Effect() if token.endswith("0") else super().append(key, token)


class Repeating(Store):
    """Makes every tenth append twice, as a retry that is not recognised would."""

    def append(self, key: str, token: str) -> Effect:
        if token.endswith("0"):
            super().append(key, token)
        return super().append(key, token)


class Lagging(Store):
    """Reads what was there before the last append, as a deposed primary would."""

    def read(self, key: str, guarantee: Guarantee) -> Effect:
        answer = super().read(key, guarantee)
        if answer.state is None or len(answer.state.tokens) < 3:
            return answer
        older = answer.state.tokens[:-2]
        return Effect(1, State(older, len(older)))


class Undead(Store):
    """Acknowledges deletes without making them."""

    def delete(self, key: str) -> Effect:
        return self.read(key, Guarantee.LINEARIZABLE)


class Generous(Store):
    """Gives a key to whoever claims it."""

    def insert(self, key: str, token: str) -> Effect:
        with self.lock:
            self.lists.setdefault(key, [token])
        return Effect()


class Secondary(Store):
    """Reads what was there a while ago, as a secondary may, unless the auditor asks."""

    guarantee = Guarantee.MAJORITY

    def read(self, key: str, guarantee: Guarantee) -> Effect:
        answer = super().read(key, guarantee)
        if guarantee is self.firmest or answer.state is None:
            return answer
        older = answer.state.tokens[: max(1, len(answer.state.tokens) - 2)]
        return Effect(1, State(older, len(older)))


class Sessionless(Secondary):
    """Says that it reads in a session, and does not."""

    guarantee = Guarantee.SESSION


class Scattered(Store):
    """Holds every document twice, as a chunk migration gone wrong would leave it."""

    def scan(self, prefix: str = "") -> Iterable[tuple[str, State]]:
        return [*super().scan(prefix), *super().scan(prefix)]


class Overlooking(Store):
    """Lists of keys lack the last one, unless the auditor asks for all."""

    def scan(self, prefix: str = "") -> Iterable[tuple[str, State]]:
        found = sorted(super().scan(prefix))
        return found[:-1] if prefix else found


class Behind(Store):
    """Lists of keys show what was there a while ago."""

    def scan(self, prefix: str = "") -> Iterable[tuple[str, State]]:
        for key, state in super().scan(prefix):
            older = state.tokens[: max(1, len(state.tokens) - 2)] if prefix else state.tokens
            yield key, State(older, len(older))


class Flaky(Store):
    """Fails at random, before or after it has written; correct for all that."""

    def __init__(self) -> None:
        super().__init__()
        self.chance = random.Random(1)  # noqa: S311 - chance, not a secret

    def append(self, key: str, token: str) -> Effect:
        with self.lock:
            luck = self.chance.random()
        if luck < 0.1:
            raise RefusedError("not now")
        answer = super().append(key, token)
        if luck > 0.9:
            raise ConnectionError("gone")
        return answer


class Lossy(Store):
    """Loses every tenth answer, and knows repetitions by their token."""

    unique = False
    repeats = True

    def __init__(self) -> None:
        super().__init__()
        self.known: Counter[str] = Counter()

    def insert(self, key: str, token: str) -> Effect:
        return self._once(token, lambda: super(Lossy, self).insert(key, token))

    def append(self, key: str, token: str) -> Effect:
        return self._once(token, lambda: super(Lossy, self).append(key, token))

    def _once(self, token: str, write: Callable[[], Effect]) -> Effect:
        with self.lock:
            self.known[token] += 1
            first = self.known[token] == 1
        answer = self.write(write, first=first)
        if token.endswith("0") and first:
            raise ConnectionError("gone")
        return answer

    def write(self, write: Callable[[], Effect], *, first: bool) -> Effect:
        return write() if first else Effect()


class Forgetting(Lossy):
    """Does not know repetitions."""

    def write(self, write: Callable[[], Effect], *, first: bool) -> Effect:  # noqa: ARG002
        return write()


SCANS = 5
"""In each load; they are rare."""


def drill(store: Store, seconds: float = 0.15) -> History:
    end = time.monotonic() + 60
    with Workload(store, Load(clients=4, keys=2, tokens=10)) as workload:
        workload.run(seconds)
        while store.scans < SCANS and time.monotonic() < end:
            workload.run(0.05)
    return workload.finish()


def test_a_correct_store_passes() -> None:
    history = drill(Store())
    found = summarise(history)
    assert found.violations == []
    assert found.errors == {}
    assert found.unverified == 0
    assert set(found.counts) == set(Kind)
    assert set(found.gaps) == {"all", "one", "two"}


def test_clients_overlap_and_share_keys() -> None:
    calls = [call for call in drill(Store()).calls if call.client != AUDITOR]
    users: dict[str, set[int]] = {}
    for call in calls:
        users.setdefault(call.key, set()).add(call.client)
    assert any(len(clients) > 1 for clients in users.values())
    assert all(call.key.startswith(f"{call.group}/") for call in calls)
    assert all(call.end >= call.begin for call in calls)


@pytest.mark.parametrize(
    ("store", "rule"),
    [
        (Forgetful(), Rule.LOST),
        (Repeating(), Rule.DOUBLED),
        (Lagging(), Rule.LOST),
        (Undead(), Rule.RESURRECTED),
        (Generous(), Rule.CLAIMED_TWICE),
        (Scattered(), Rule.DOUBLED),
        (Sessionless(), Rule.STALE),
        (Overlooking(), Rule.STALE),
        (Behind(), Rule.STALE),
        (Forgetting(), Rule.DOUBLED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_faulty_store_is_found(store: Store, rule: Rule) -> None:
    assert rule in {violation.rule for violation in summarise(drill(store)).violations}


def test_old_reads_outside_a_session_are_counted_and_are_no_violations() -> None:
    history = drill(Secondary())
    assert check(history) == []
    assert steps_back(history) > 0
    assert steps_back(drill(Store())) == 0


def test_some_keys_are_claimed_by_several_and_go_to_one() -> None:
    history = drill(Store(), seconds=0.3)
    claims = [call for call in history.calls if call.kind is Kind.INSERT]
    refused = [call for call in claims if call.outcome is Outcome.FAILED]
    assert refused
    assert not any(call.erred for call in refused)
    assert len({call.key for call in claims}) == len(claims) - len(refused)
    deleted = {call.key for call in history.calls if call.kind is Kind.DELETE}
    assert deleted
    assert deleted.isdisjoint(call.key for call in refused)


def test_a_store_whose_keys_are_not_unique_gets_one_insert_of_each() -> None:
    class Namesakes(Generous):
        unique = False

    history = drill(Namesakes())
    assert check(history) == []
    claims = [call.key for call in history.calls if call.kind is Kind.INSERT]
    assert len(set(claims)) == len(claims)


def test_errors_are_counted_and_are_no_violations() -> None:
    found = summarise(drill(Flaky(), seconds=0.5))
    assert found.violations == []
    assert set(found.errors) == {"RefusedError: not now", "ConnectionError: gone"}
    assert found.counts["append"]["failed"] == found.errors["RefusedError: not now"]
    assert found.counts["append"]["unknown"] == found.errors["ConnectionError: gone"]


def test_what_had_no_answer_is_repeated_and_some_that_had_one() -> None:
    store, clients, end = Lossy(), 4, time.monotonic() + 60

    def repeated(ending: bool) -> list[str]:
        with store.lock:
            again = [token for token, count in store.known.items() if count > 1]
        return [token for token in again if token.endswith("0") is ending]

    with Workload(store, Load(clients=clients, keys=2, tokens=10)) as workload:
        while not (repeated(True) and repeated(False)) and time.monotonic() < end:
            workload.run(0.05)
    history = workload.finish()
    assert check(history) == []
    lost = {call.token for call in history.calls if call.outcome is Outcome.UNKNOWN}
    answered = {call.token for call in history.calls if call.outcome is Outcome.OK}
    assert repeated(True)
    assert repeated(False)
    assert len(lost - answered) <= clients, "only the end of the load keeps one from repeating"


def test_a_call_that_never_returns_is_on_record() -> None:
    released = threading.Event()

    class Stuck(Store):
        def append(self, key: str, token: str) -> Effect:
            answer = super().append(key, token)
            if token.startswith("0-"):
                released.wait(20)
            return answer

    with Workload(Stuck(), Load(clients=4, keys=2, tokens=10)) as workload:
        workload.run(0.2)
    history = workload.finish(seconds=0.5)
    before = len(history.calls)
    released.set()
    found = summarise(history)
    assert found.counts["append"]["unknown"] == 1
    assert found.errors == {"never returned": 1}
    assert found.violations == []
    assert len(history.calls) == before


def test_waiting_for_writes() -> None:
    with Workload(Store(), Load(clients=2)) as workload:
        workload.wait_for_writes(20, "two", 10)
    assert sum(c.acknowledged_write and c.group == "two" for c in workload.finish().calls) >= 20
    with pytest.raises(TimeoutError, match="writes in two"):
        workload.wait_for_writes(1, "two", 0.05)


def test_a_file_holds_what_the_history_holds(tmp_path: Path) -> None:
    with HistoryFile(tmp_path / "h.jsonl") as file:
        with Workload(Store(), Load(clients=2), file) as workload:
            workload.mark("nothing at all")
            workload.run(0.1)
        history = workload.finish()
    kept = read(tmp_path / "h.jsonl")
    assert kept.calls == history.calls
    assert kept.marks == history.marks


class Stalled(Store):
    """Answers nobody of one group until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def insert(self, key: str, token: str) -> Effect:
        if key.startswith("one/"):
            self.released.wait(20)
        return super().insert(key, token)


def test_an_open_loop_counts_what_was_due_while_all_clients_waited() -> None:
    store = Stalled()
    with Workload(store, Load(clients=2, rate=400)) as workload:
        workload.wait_for_writes(20, "two", 20)
        released = time.monotonic_ns()
        store.released.set()
        workload.wait_for_writes(20, "one", 20)
        assert workload.progress().writes["one"] >= 20
    calls = sorted(workload.finish().calls, key=lambda call: call.due)
    one = [call for call in calls if call.group == "one" and call.client != AUDITOR]
    assert {later.due - earlier.due for earlier, later in pairwise(one)} <= set(
        range(4999998, 5000003)
    )
    late = [call for call in one if call.due < released < call.begin]
    assert len(late) >= 10, "calls that were due during the stall were never made"
    assert all(call.took > call.end - call.begin for call in late)
    assert summarise(History(list(calls))).violations == []


def test_a_closed_loop_has_nothing_due() -> None:
    assert {call.due for call in drill(Store()).calls} == {0}

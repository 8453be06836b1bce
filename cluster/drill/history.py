"""What a drill records: every call's begin, end, outcome and value, in memory and as JSON lines.

A key is one document that holds a list of tokens and a count of them::

    {"_id": "shard-1/000007", "tokens": ["a", "b"], "version": 2}

An insert creates it with one token, an append pushes one more and increments the version, a delete
removes it. A token is written by one call only, so a token that is missing, there twice or out of
place names the call that went wrong. (The idea is Elle's list-append, Kingsbury and Alvaro,
VLDB 2020.)

`Recorder` writes a history while a drill runs, also the calls that never return.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

AUDITOR = -1
"""The client number of the reads that look at what is left after the load has ended."""


class Kind(StrEnum):
    """What a call does to its key."""

    INSERT = "insert"
    APPEND = "append"
    READ = "read"
    DELETE = "delete"
    SCAN = "scan"  # looks at many keys together, and changes none


class Outcome(StrEnum):
    """What the client knows of its call once it has returned."""

    OK = "ok"  # acknowledged
    FAILED = "failed"  # certainly without effect
    UNKNOWN = "unknown"  # may have taken effect, or may still


class Guarantee(StrEnum):
    """What a read promises: see the README of this folder."""

    LINEARIZABLE = "linearizable"  # sees every write acknowledged before it began
    MAJORITY = "majority"  # sees a state that was true once, and that no failover undoes
    SESSION = "session"  # the same, and no less than its client had written and seen before
    LOCAL = "local"  # sees every write acknowledged before it began; the rest a failover may undo


class State(msgspec.Struct, frozen=True, array_like=True):
    """A key's content as a call saw it: the tokens in order, and the count beside them."""

    tokens: tuple[str, ...]
    version: int


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """What a scan saw of one key: how many documents, and the content of the last of them."""

    key: str
    found: int
    state: State | None = None


class Call(msgspec.Struct, frozen=True, tag="call", omit_defaults=True):
    """One finished (or abandoned) call of one client.

    `begin` and `end` are nanoseconds of one machine's monotonic clock. `found` is the number of
    documents that the call matched. `state` is what a read saw, what an append left behind, or what
    a delete removed, where the store tells. `group` is the part of the data the key belongs to,
    such as a shard's name: gaps are measured for each group. A scan's key is what the keys begin
    with that it looked for, and `seen` what it saw of each. `due` is when an open loop meant to
    make the call, which it did later where all its clients still waited; 0 in a closed loop.
    """

    client: int
    kind: Kind
    key: str
    begin: int
    end: int
    outcome: Outcome
    token: str = ""
    found: int = 1
    state: State | None = None
    guarantee: Guarantee = Guarantee.LINEARIZABLE
    group: str = ""
    error: str = ""
    due: int = 0
    seen: tuple[Seen, ...] = ()

    @property
    def took(self) -> int:
        """Nanoseconds to its end from the moment at which it was to be made.

        Counted from `due`, a stall shows in full: clients that wait for one answer would otherwise
        hide all the calls that they do not make meanwhile (coordinated omission).
        """
        return self.end - (self.due or self.begin)

    @property
    def writes(self) -> bool:
        """Whether the call changes the key."""
        return self.kind not in (Kind.READ, Kind.SCAN)

    @property
    def erred(self) -> bool:
        """Whether its client saw an error. That a claim came second is an answer: `found` is 0."""
        second = self.kind is Kind.INSERT and self.found == 0
        return self.outcome is not Outcome.OK and not second

    @property
    def acknowledged_write(self) -> bool:
        """Whether the call is known to have changed the key."""
        return self.writes and self.outcome is Outcome.OK and self.found > 0


class Mark(msgspec.Struct, frozen=True, tag="mark"):
    """Something done to the cluster, at `at` nanoseconds: "SIGKILL shard-1-2"."""

    at: int
    text: str


Event = Call | Mark


class HistoryError(Exception):
    """A history that cannot be read, or that breaks the rules the checker relies on."""


class History:
    """The records of one run, in no particular order."""

    def __init__(self, records: list[Event] | None = None) -> None:
        self.calls: list[Call] = []
        self.marks: list[Mark] = []
        for record in records or []:
            self.add(record)

    def add(self, record: Event) -> None:
        """Take one more record in."""
        if isinstance(record, Call):
            self.calls.append(record)
        else:
            self.marks.append(record)

    def by_key(self) -> Iterator[Call]:
        """All calls, for judges of single keys: a scan counts as a read of each key."""
        for call in self.calls:
            if call.kind is not Kind.SCAN:
                yield call
            elif call.outcome is Outcome.OK:
                for seen in call.seen:
                    yield replace(
                        call,
                        kind=Kind.READ,
                        key=seen.key,
                        found=seen.found,
                        state=seen.state,
                        seen=(),
                    )

    def records(self) -> list[Event]:
        """Everything, ordered by when it began."""
        moments: list[tuple[int, Event]] = [(call.begin, call) for call in self.calls]
        moments += [(mark.at, mark) for mark in self.marks]
        return [record for _, record in sorted(moments, key=lambda moment: moment[0])]


class HistoryFile:
    """An append-only file of JSON lines, one record each; safe to use from several threads.

    Each line is written immediately and whole. So a run that is cut short leaves at most
    one torn line, its last, which `read` passes over.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def append(self, record: Event) -> None:
        """Write one record."""
        line = msgspec.json.encode(record) + b"\n"
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path) -> History:
    """The history in a file. Raises HistoryError with the line's number if a line is damaged."""
    return History(list(_records(path)))


def _records(path: Path) -> Iterator[Event]:
    decoder = msgspec.json.Decoder[Event](Event)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                return  # the run was cut short while it wrote this line
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise HistoryError(f"{path}, line {number}, is not a record: {error}") from error


@dataclass(frozen=True)
class Progress:
    """How far a load has come: calls that have returned, those of them that failed or whose outcome
    is unknown, and acknowledged writes by group.
    """

    calls: int
    errors: int
    writes: dict[str, int]


class Recorder:
    """One history in the making, kept in a file too if one is given."""

    def __init__(self, file: HistoryFile | None = None) -> None:
        self.history = History()
        self._file = file
        self._changed = threading.Condition()
        self._in_flight: dict[int, Call] = {}
        self._acknowledged: Counter[str] = Counter()
        self._calls = self._errors = 0

    def begin(self, call: Call) -> None:
        """A call sets out. It is given as it stands if it never returns: without an answer."""
        with self._changed:
            self._in_flight[id(call)] = call

    def end(self, begun: Call, ended: Call) -> None:
        """Notes that a call has returned. If `give_up` has noted it before, that record stays."""
        with self._changed:
            if self._in_flight.pop(id(begun), None) is None:
                return
            self._keep(ended)
            self._calls += 1
            self._errors += ended.erred
            if ended.acknowledged_write:
                self._acknowledged[ended.group] += 1
                self._changed.notify_all()

    def mark(self, text: str) -> None:
        """Note what is being done to the cluster now."""
        with self._changed:
            self._keep(Mark(time.monotonic_ns(), text))

    def give_up(self) -> int:
        """Put the calls that have not returned on record without an answer; their number."""
        with self._changed:
            now = time.monotonic_ns()
            for call in self._in_flight.values():
                self._keep(replace(call, end=now, outcome=Outcome.UNKNOWN, error="never returned"))
            number = len(self._in_flight)
            self._in_flight.clear()
            return number

    def progress(self) -> Progress:
        """How far it has come until now."""
        with self._changed:
            return Progress(self._calls, self._errors, dict(self._acknowledged))

    def wait_for_writes(self, count: int, group: str, seconds: float) -> None:
        """Wait for this many more acknowledged writes in the group.

        Raises TimeoutError if they do not come within the time.
        """
        with self._changed:
            goal = self._acknowledged[group] + count
            if not self._changed.wait_for(lambda: self._acknowledged[group] >= goal, seconds):
                missing = goal - self._acknowledged[group]
                raise TimeoutError(
                    f"{missing} of {count} writes in {group} were not acknowledged"
                    f" within {seconds:g} s"
                )

    def _keep(self, record: Event) -> None:
        self.history.add(record)
        if self._file is not None:
            self._file.append(record)

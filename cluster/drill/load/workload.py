"""Concurrent clients: each makes one call after the other and records it.

In a closed loop a client makes its next call as soon as the last one has returned, so a stalled
store gets no calls. In an open loop calls are made at a fixed rate, whatever becomes of them, as by
consumers who do not know of one another: what could not be made in time, since all clients waited,
is made as soon as one is free, and its latency counts from when it was due.

Where a write can be *repeated* under its token, as under an idempotency key, it is repeated when it
had no answer, and now and then when it had one: it must not take effect again.

A few calls are *scans*: reads of all keys near one that is in use, as a page of a list is.

`Store` is what they run against. `Keys` chooses what a client does next: it holds the life of each
key, from its insert to its delete. history.py says what a key contains.

A share of the keys is *claimed*: other clients insert them, too, while the first insert is on its
way and as long as they are in use. All but one must be refused. Since a claim may take effect late,
such a key is never deleted: it would be free again.

Every client stays with one group of keys, so that a group whose shard has failed does not hold up
the clients of the others. Within a group all clients share the keys.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from msgspec.structs import replace

from cluster.drill.history import (
    AUDITOR,
    Call,
    Guarantee,
    History,
    HistoryFile,
    Kind,
    Outcome,
    Recorder,
    Seen,
    State,
)


@dataclass(frozen=True)
class Effect:
    """How many documents an acknowledged call matched, and the key's content if the call tells; of
    a scan, what it saw.
    """

    found: int = 1
    state: State | None = None
    seen: tuple[Seen, ...] = ()


class Store(Protocol):
    """A store of lists, called by several threads together.

    A method returns once the call is acknowledged, and raises whatever its client library raises
    otherwise; `outcome` then says what that means for a write.
    """

    @property
    def groups(self) -> Sequence[str]:
        """The parts of the data that fail separately: "shard-1/000007" belongs to "shard-1"."""

    @property
    def guarantee(self) -> Guarantee:
        """What the load's reads promise."""

    @property
    def firmest(self) -> Guarantee:
        """The most that a read may promise: what the auditor's do."""

    @property
    def scanned(self) -> Guarantee:
        """What a scan promises."""

    @property
    def unique(self) -> bool:
        """Whether it refuses an insert of a key that is there; if not, no key is claimed twice."""

    @property
    def repeats(self) -> bool:
        """Whether an insert or append made again with its token takes effect once all the same.

        Who repeats it is the thread that made it, before it makes any other.
        """

    def insert(self, key: str, token: str) -> Effect:
        """Create the key with one token; `found` is 0 if it was there."""

    def append(self, key: str, token: str) -> Effect:
        """Push a token to the key's list and increment its count, in one atomic write."""

    def read(self, key: str, guarantee: Guarantee) -> Effect:
        """Read the key; `guarantee` is one of the two above."""

    def delete(self, key: str) -> Effect:
        """Remove the key."""

    def scan(self, prefix: str = "") -> Iterable[tuple[str, State]]:
        """All keys that begin so, one pair for each document; with a group's name, of one group."""

    def outcome(self, error: Exception) -> Outcome:
        """FAILED if a write that raised this is certainly without effect, else UNKNOWN."""


PAUSE = 0.05
"""Seconds that a client waits after an error, so as not to flood a store that refuses all calls."""
READS = 0.3
"""Share of reads among the calls on a live key."""
SCANS = 0.01
"""Share of scans; each is judged like some fifty reads."""
BLOCK = 2
"""Digits that the keys of a scan differ in: a hundred keys at most."""
DELETED = 0.5
"""Share of keys that are deleted at the end of their life; the others stay for the audit."""
REPEATED = 0.02
"""Share of acknowledged inserts and appends that are repeated."""
REPEATS = 3
"""Times that one without an answer is repeated."""
CLAIMED = 3
"""One key in so many is claimed by several clients."""
CLAIMS = 0.1
"""Share of claims among the calls on such a key."""


class Intent(NamedTuple):
    """A call to make. `token` is empty for reads, scans and deletes; a scan's `key` is a prefix."""

    kind: Kind
    key: str
    token: str


class Keys:
    """The keys of one group, shared by the clients that work on it.

    `live` keys are in use at a time, each for about `tokens` appends, so that documents stay small
    and inserts and deletes go on all the time.
    """

    def __init__(self, group: str, live: int, tokens: int, *, claims: bool) -> None:
        self.group = group
        self._limit = live
        self._tokens = tokens
        self._claims = claims
        self._lock = threading.Lock()
        self._made = 0
        self._pending: Counter[str] = Counter()  # inserts on their way of keys not in use yet
        self._written: dict[str, int] = {}
        self._claimed: set[str] = set()

    def choose(self, chance: random.Random, token: str) -> Intent:
        """The next call; `token` is used if it is a write that carries one."""
        with self._lock:
            if len(self._written) + len(self._pending) < self._limit or not self._written:
                return Intent(Kind.INSERT, self._new(), token)
            key = chance.choice([*self._written, *(k for k in self._pending if k in self._claimed)])
            if key in self._claimed and (key in self._pending or chance.random() < CLAIMS):
                if key in self._pending:
                    self._pending[key] += 1
                return Intent(Kind.INSERT, key, token)
            return self._go_on(key, chance, token)

    def _go_on(self, key: str, chance: random.Random, token: str) -> Intent:
        """The next call on a key in use."""
        if self._written[key] >= self._tokens:
            del self._written[key]
            if key not in self._claimed and chance.random() < DELETED:
                return Intent(Kind.DELETE, key, "")
            self._claimed.discard(key)
            return Intent(Kind.READ, key, "")
        looks = chance.random()
        if looks < SCANS:
            return Intent(Kind.SCAN, key[:-BLOCK], "")
        if looks < SCANS + READS:
            return Intent(Kind.READ, key, "")
        self._written[key] += 1
        return Intent(Kind.APPEND, key, token)

    def in_use(self, prefix: str) -> list[str]:
        """The keys with this prefix that have been inserted, and that nobody has begun to delete.

        An insert without an answer counts as one: the checker knows that its key may be missing.
        """
        with self._lock:
            return [key for key in self._written if key.startswith(prefix)]

    def _new(self) -> str:
        self._made += 1
        key = f"{self.group}/{self._made:06d}"
        self._pending[key] = 1
        if self._claims and self._made % CLAIMED == 0:
            self._claimed.add(key)
        return key

    def inserted(self, key: str, *, possible: bool) -> None:
        """An insert of the key has returned; from now on it is in use if it may exist."""
        with self._lock:
            if key not in self._pending:
                return  # another insert has put it in use
            self._pending[key] -= 1
            if possible:
                self._written[key] = 1
            if possible or not self._pending[key]:
                del self._pending[key]


@dataclass(frozen=True)
class Load:
    """How much: `clients` threads, `keys` live keys in each group, `tokens` in a key's life.

    `rate` is the calls of an open loop in a second, all groups together; 0 is a closed loop.
    """

    clients: int = 8
    keys: int = 4
    tokens: int = 40
    seed: int = 0
    rate: float = 0.0


class Pace:
    """When the calls of one group are due in an open loop: every `1 / rate` seconds."""

    def __init__(self, rate: float) -> None:
        self._every = 1e9 / rate
        self._lock = threading.Lock()
        self._began = 0
        self._given = 0

    def next(self) -> int:
        """The moment of the next call, in monotonic nanoseconds; the first is due at once."""
        with self._lock:
            self._began = self._began or time.monotonic_ns()
            self._given += 1
            return self._began + round((self._given - 1) * self._every)


class Workload:
    """A load on a store. As a context manager it runs while the block does.

    `finish`, after the block or within it, ends the load and gives the history.
    """

    def __init__(self, store: Store, load: Load, file: HistoryFile | None = None) -> None:
        self._store = store
        self._load = load
        self._recorder = Recorder(file)
        self._stop = threading.Event()
        self._paces: dict[str, Pace] = {}
        if load.rate:
            share = load.rate / len(store.groups)
            self._paces = {group: Pace(share) for group in store.groups}
        self._keys = {
            group: Keys(group, load.keys, load.tokens, claims=store.unique)
            for group in store.groups
        }
        self._threads = [
            threading.Thread(target=self._client, args=(n,), name=f"drill-{n}", daemon=True)
            for n in range(load.clients)
        ]
        self.mark = self._recorder.mark
        self.progress = self._recorder.progress
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
        group = self._store.groups[number % len(self._store.groups)]
        keys, pace = self._keys[group], self._paces.get(group)
        made = due = 0
        while not self._stop.is_set():
            if pace is not None:
                due = pace.next()
                if self._stop.wait(max(0, due - time.monotonic_ns()) / 1e9):
                    return
            made += 1
            intent = keys.choose(chance, f"{number}-{made}")
            call = self._turn(number, keys, intent, due, chance)
            if call.erred:
                self._stop.wait(PAUSE)

    def _turn(
        self, number: int, keys: Keys, intent: Intent, due: int, chance: random.Random
    ) -> Call:
        """Make a call, and what follows from it; the last call that was made."""
        call = self._call(number, keys.group, intent, due)
        if intent.token and self._store.repeats:
            call = self._repeated(call, intent, chance)
        if call.kind is Kind.INSERT:
            keys.inserted(call.key, possible=call.outcome is not Outcome.FAILED)
        if call.kind is Kind.DELETE and call.outcome is Outcome.OK:
            # Nobody calls this key again: whoever deleted it looks immediately whether it is gone.
            return self._call(number, keys.group, Intent(Kind.READ, call.key, ""))
        return call

    def _repeated(self, call: Call, intent: Intent, chance: random.Random) -> Call:
        """Repeat a write where that is due. Returns its last try, or the call itself."""
        if call.acknowledged_write and chance.random() < REPEATED:
            return self._call(call.client, call.group, intent)
        for _ in range(REPEATS):
            if call.outcome is not Outcome.UNKNOWN or self._stop.wait(PAUSE):
                break
            again = self._call(call.client, call.group, intent)
            # That a repetition was refused says nothing of the call before it.
            call = call if again.outcome is Outcome.FAILED else again
        return call

    def _call(self, client: int, group: str, intent: Intent, due: int = 0) -> Call:
        """Make one call and record it."""
        guarantee = self._store.firmest if client == AUDITOR else self._store.guarantee
        begun = Call(
            client=client,
            kind=intent.kind,
            key=intent.key,
            begin=time.monotonic_ns(),
            end=0,
            outcome=Outcome.UNKNOWN,
            token=intent.token,
            guarantee=self._promised(intent.kind, guarantee),
            group=group,
            due=due,
        )
        self._recorder.begin(begun)
        try:
            answer = self._send(intent, guarantee)
            end = time.monotonic_ns()
            second = intent.kind is Kind.INSERT and not answer.found
            ended = replace(
                begun,
                end=end,
                outcome=Outcome.FAILED if second else Outcome.OK,
                found=answer.found,
                state=answer.state,
                seen=answer.seen,
                # A write that found nothing is a look at the key, no better than a read.
                guarantee=begun.guarantee if answer.found else guarantee,
            )
        except Exception as error:  # noqa: BLE001 - whatever a client meets belongs to the record
            end = time.monotonic_ns()
            outcome = self._store.outcome(error) if begun.writes else Outcome.FAILED
            text = f"{type(error).__name__}: {error}"
            ended = replace(begun, end=end, outcome=outcome, error=text)
        self._recorder.end(begun, ended)
        return ended

    def _send(self, intent: Intent, guarantee: Guarantee) -> Effect:
        match intent.kind:
            case Kind.INSERT:
                return self._store.insert(intent.key, intent.token)
            case Kind.APPEND:
                return self._store.append(intent.key, intent.token)
            case Kind.READ:
                return self._store.read(intent.key, guarantee)
            case Kind.DELETE:
                return self._store.delete(intent.key)
            case Kind.SCAN:
                keys = self._keys[intent.key.rpartition("/")[0]]
                return Effect(seen=self._look(intent.key, keys.in_use(intent.key)))

    def _promised(self, kind: Kind, guarantee: Guarantee) -> Guarantee:
        if kind is Kind.SCAN:
            return self._store.scanned
        return guarantee if kind is Kind.READ else Guarantee.LINEARIZABLE

    def _look(self, prefix: str, wanted: Iterable[str] = ()) -> tuple[Seen, ...]:
        """Scan the keys that begin so: what is seen of them, and of those that are `wanted`."""
        found: Counter[str] = Counter()
        states: dict[str, State] = {}
        for key, state in self._store.scan(prefix):
            found[key] += 1
            states[key] = state
        keys = sorted({*found, *wanted})
        return tuple(Seen(key, found[key], states.get(key)) for key in keys)

    def _audit(self, deadline: float) -> None:
        """Read every key by itself, then all in one scan, for what a read by key cannot show."""
        calls = self._recorder.history.calls
        keys = {call.key: call.group for call in calls if call.kind is not Kind.SCAN}

        def read(key: str) -> None:
            intent = Intent(Kind.READ, key, "")
            while (
                self._call(AUDITOR, keys[key], intent).outcome is not Outcome.OK
                and time.monotonic() < deadline
            ):
                time.sleep(0.1)

        with ThreadPoolExecutor(self._load.clients) as readers:
            list(readers.map(read, keys))
        self._scan()

    def _scan(self) -> None:
        begin = time.monotonic_ns()
        seen = self._look("")
        call = Call(
            client=AUDITOR,
            kind=Kind.SCAN,
            key="",
            begin=begin,
            end=time.monotonic_ns(),
            outcome=Outcome.OK,
            # A scan of several shards sees each at its own time.
            guarantee=Guarantee.MAJORITY,
            seen=seen,
        )
        self._recorder.begin(call)
        self._recorder.end(call, call)

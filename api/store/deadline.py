"""One deadline per request, and the one retry policy inside it.

Two layers retry, and they do not overlap:

* PyMongo. Inside `pymongo.timeout` it repeats every retryable read and write, under the same
  transaction number, until the time is up. The servers recognise the number, so a write whose
  acknowledgement was lost in a failover is not applied a second time.
* `attempt`, for what PyMongo gives up on immediately: no router selectable, no free connection in
  the pool, a shard that has no primary for longer than the router waits. A call that was surely
  never sent is repeated whatever it is; any other only when its caller calls it idempotent.

So a failover is latency. Past the deadline the caller gets `UnavailableError`.

What the calls cost is tallied per request, for metrics and log lines: `begin_tally` starts a tally;
what happens afterwards in the same context (thread) adds to it, until the next. Without a tally
nothing is kept. Each call costs a third of a microsecond.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import pymongo
from pymongo.errors import (
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from api.store.errors import UnavailableError

T = TypeVar("T")

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)
_step: ContextVar[float] = ContextVar("step", default=float("inf"))

FIRST_PAUSE = 0.02  # seconds; doubled each time up to LONGEST_PAUSE, with jitter
LONGEST_PAUSE = 0.4

# Server errors that pass by themselves once the cluster has healed:
# HostUnreachable, HostNotFound, MaxTimeMSExpired, NetworkTimeout, ShutdownInProgress,
# WriteConcernFailed, FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet,
# ExceededTimeLimit, OutOfDiskSpace, and the not-primary family.
TRANSIENT = frozenset(
    {6, 7, 50, 64, 89, 91, 133, 134, 189, 202, 262, 9001, 10107, 11600, 11602, 13435, 13436, 14031}
)
# How the storage engine's own error comes out, as UnknownError, before the mongod ends.
DISK_FULL = "No space left on device"


class Tally:
    """What was counted since it began.

    seconds     spent in database calls, pauses between repetitions included
    calls       database calls
    retries     repetitions of calls by our own policy (PyMongo repeats below it, unseen)
    conflicts   claims on unique values that met another claim
    throttled   requests refused because there were too many
    """

    __slots__ = ("calls", "conflicts", "retries", "seconds", "throttled")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0
        self.retries = 0
        self.conflicts = 0
        self.throttled = 0


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


def begin_tally() -> Tally:
    """A new tally for what this context does from now on."""
    tally = Tally()
    _tally.set(tally)
    return tally


def tally_retry() -> None:
    """A call is about to be repeated."""
    tally = _tally.get()
    if tally is not None:
        tally.retries += 1


def tally_conflicts(count: int = 1) -> None:
    """Claims met other claims."""
    tally = _tally.get()
    if tally is not None:
        tally.conflicts += count


def tally_throttled() -> None:
    """A request is refused: there were too many of its kind."""
    tally = _tally.get()
    if tally is not None:
        tally.throttled += 1


@contextmanager
def deadline(seconds: float, step: float = float("inf")) -> Iterator[None]:
    """Bound the database calls made inside: by `seconds` in all, or by an outer deadline.

    `step` bounds each call by itself, where what is between them may take long: a body's arrival.
    """
    ends = _ends.set(time.monotonic() + min(seconds, remaining()))
    steps = _step.set(min(step, _step.get()))
    try:
        with pymongo.timeout(seconds):
            yield
    finally:
        _step.reset(steps)
        _ends.reset(ends)


def remaining() -> float:
    """Seconds left of the innermost deadline; infinite outside of one."""
    ends = _ends.get()
    return float("inf") if ends is None else ends - time.monotonic()


def pause(turn: int) -> bool:
    """Wait a little before trying again (`turn` counts from 0). False when time is up."""
    wait = random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, FIRST_PAUSE * 2**turn)  # noqa: S311 - jitter
    if wait >= remaining():
        return False
    time.sleep(wait)
    return True


class Turns:
    """The turns of a loop that tries again, with pauses that grow, until the deadline is near.

    `reason`: what was waited for in vain.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self._turn = 0

    def next(self) -> None:
        """Wait for the next one. Raises `UnavailableError` where there is no time for it."""
        if not pause(self._turn):
            raise UnavailableError(self._reason)
        self._turn += 1


def is_transient(error: PyMongoError) -> bool:
    """Whether the database may be able to do this later, unchanged."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WTimeoutError):
        return True
    if error.timeout or error.has_error_label("RetryableWriteError"):
        return True
    return isinstance(error, OperationFailure) and (
        error.code in TRANSIENT or DISK_FULL in str(error)
    )


def attempt(call: Callable[[], T], *, idempotent: bool) -> T:
    """Make a database call under the policy above.

    Raises `UnavailableError` past the deadline; errors that will not pass (a duplicate key, a
    refused command) come out unchanged.
    """
    if (step := _step.get()) < remaining():
        with deadline(step):
            return _attempt(call, idempotent)
    return _attempt(call, idempotent)


def _attempt(call: Callable[[], T], idempotent: bool) -> T:
    turn = 0
    began = time.perf_counter()
    try:
        while True:
            try:
                return call()
            except PyMongoError as error:
                if not is_transient(error):
                    raise
                # PyMongo raises these two only when no attempt of the call has reached a server.
                unsent = isinstance(error, ServerSelectionTimeoutError | WaitQueueTimeoutError)
                spent = error.timeout and remaining() < LONGEST_PAUSE
                if spent or not (unsent or idempotent) or not pause(turn):
                    raise UnavailableError(
                        f"the database did not answer: {type(error).__name__}"
                    ) from error
                tally_retry()
                turn += 1
    finally:
        tally = _tally.get()
        if tally is not None:
            tally.seconds += time.perf_counter() - began
            tally.calls += 1

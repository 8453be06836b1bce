"""What the database cost: tallied per request, for metrics and log lines.

`begin` starts a tally; what happens afterwards in the same context (thread) adds to it, until the
next `begin`. Without a tally nothing is kept. Each call costs a third of a microsecond.
"""

from contextvars import ContextVar


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


def begin() -> Tally:
    """A new tally for what this context does from now on."""
    tally = Tally()
    _tally.set(tally)
    return tally


def called(seconds: float) -> None:
    """A database call ended, well or not, after so long."""
    tally = _tally.get()
    if tally is not None:
        tally.seconds += seconds
        tally.calls += 1


def retried() -> None:
    """A call is about to be repeated."""
    tally = _tally.get()
    if tally is not None:
        tally.retries += 1


def conflict(count: int = 1) -> None:
    """Claims met other claims."""
    tally = _tally.get()
    if tally is not None:
        tally.conflicts += count


def throttled() -> None:
    """A request is refused: there were too many of its kind."""
    tally = _tally.get()
    if tally is not None:
        tally.throttled += 1

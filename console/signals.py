"""Signals that end a command: raised as an exception, or put off where they would do harm."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # prctl(2)


class Interrupted(BaseException):
    """Somebody wants the command to end, be it from the keyboard or by SIGTERM."""


def raise_interrupted() -> None:
    """From now on, a signal of ENDING raises Interrupted in the main thread, and only the first.

    A SIGHUP that is ignored already stays so: that is what nohup is for.
    """
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def end_with_parent() -> None:
    """Get SIGTERM when the parent ends, however that ends; for `preexec_fn` of a process.

    On Linux (prctl(2)); elsewhere it does nothing, and a parent that is killed leaves its children.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


_came = threading.Event()


def came() -> bool:
    """Whether a signal of ENDING was raised as Interrupted.

    Whoever waits for long may ask: an exception that reaches a destructor goes no further, and then
    nothing else would tell of the signal.
    """
    return _came.is_set()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # once is enough: what follows is tidying up
    _came.set()
    raise Interrupted


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Puts the signals of ENDING off until the block has ended, then lets the first through.

    Only the main thread is ever interrupted by them; elsewhere this does nothing. The work in the
    block must be bounded in time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in ENDING}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        for number in came[:1]:
            signal.raise_signal(number)

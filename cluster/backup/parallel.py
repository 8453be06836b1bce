"""Several things side by side, given up together: at the first failure, or when interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from cluster.servers.waiting import Cancelled

T = TypeVar("T")

AT_ONCE = 4  # enough to keep a router and two shards busy
LOOK_SECONDS = 0.5

Look = Callable[[], None]


class Stop:
    """Asked for between two steps of the work; once it is `set`, asking raises Cancelled."""

    def __init__(self) -> None:
        self._set = threading.Event()

    def set(self) -> None:
        """No further step."""
        self._set.set()

    def __call__(self) -> None:
        if self._set.is_set():
            raise Cancelled


def each(things: Iterable[T], act: Callable[[T, Stop], None], look: Look = lambda: None) -> None:
    """Does `act` to every thing, a few at a time; `look` is called meanwhile and may raise.

    The work in hand has ended when this returns or raises, if it asks for Stop often enough.
    """
    stop = Stop()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        left = {pool.submit(act, thing, stop) for thing in things}
        while left:
            done, left = wait(left, LOOK_SECONDS, FIRST_EXCEPTION)
            for future in done:
                future.result()
            look()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)

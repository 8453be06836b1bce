"""Whether a client is so slow that it must go."""

from time import perf_counter


class Pace:
    """Bytes that move in each window of so many seconds; a mobile connection may pause in one.

    Slow is who moves less than `rate` bytes a second.
    """

    __slots__ = ("_at", "_moved", "_rate", "_since", "_window")

    def __init__(self, rate: float, window: float) -> None:
        self._rate = rate
        self._window = window
        self.restart()

    def restart(self) -> None:
        """A new window begins."""
        self._since = perf_counter()
        self._at: int | None = None
        self._moved = 0

    def moved(self, size: int) -> None:
        """So many bytes."""
        self._moved += size

    def slow(self, now: float, total: int | None = None) -> bool:
        """Whether the window that ends now was too slow. `total`: bytes so far, if nobody calls
        `moved`."""
        if total is not None:
            if self._at is None:
                self._at = total
            self._moved = total - self._at
        if now - self._since < self._window:
            return False
        if self._moved < self._rate * self._window:
            return True
        self.restart()
        return False

"""Bodies of requests: whole before a thread works on them, or read by it while they arrive."""

import io
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from typing import IO, Protocol

from api.web.body import too_large
from api.web.problems import ProblemError

IN_MEMORY = 64 * 1024  # bytes; larger bodies wait in a file
AHEAD = 256 * 1024  # bytes of a streamed body that are held for its reader


class Body(Protocol):
    """What the connection feeds. `limit` and `size` in bytes."""

    size: int
    complete: bool

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises ProblemError (413) above the limit."""

    def finish(self) -> None:
        """That was all."""

    def fail(self, problem: ProblemError) -> None:
        """It will never be whole."""

    def stream(self) -> IO[bytes] | "Streamed":
        """For `wsgi.input`."""

    def close(self) -> None:
        """Forget it."""


class Whole:
    """A body that is kept until it is whole: in memory, above IN_MEMORY in a temporary file."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self.complete = False
        self._limit = limit
        self._file: IO[bytes] = io.BytesIO()

    def feed(self, data: bytes) -> None:
        """Keep them."""
        self.size += len(data)
        if self.size > self._limit:
            raise too_large()
        if self.size > IN_MEMORY and isinstance(self._file, io.BytesIO):
            held, self._file = self._file, tempfile.TemporaryFile()  # noqa: SIM115 - see `close`
            self._file.write(held.getbuffer())
        self._file.write(data)

    def finish(self) -> None:
        """It may be read."""
        self.complete = True
        self._file.seek(0)

    def fail(self, problem: ProblemError) -> None:
        """Nobody reads it before it is whole, so nobody has to be told."""

    def stream(self) -> IO[bytes]:
        """All of it."""
        return self._file

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


class Streamed:
    """A body that a thread reads while the connection feeds it.

    wanted   called in the reading thread before its first wait
    taken    called in the reading thread when there is room again
    """

    def __init__(self, limit: int, wanted: Callable[[], None], taken: Callable[[], None]) -> None:
        self.size = 0
        self.complete = False
        self._limit = limit
        self._wanted = wanted
        self._asked = False
        self._taken = taken
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._problem: ProblemError | None = None
        self._changed = threading.Condition()

    def feed(self, data: bytes) -> None:
        """Hold them for the reader."""
        self.size += len(data)
        if self.size > self._limit:
            raise too_large()
        with self._changed:
            self._parts.append(data)
            self._held += len(data)
            self._changed.notify()

    @property
    def full(self) -> bool:
        """Whether the connection should wait for the reader."""
        return self._held > AHEAD

    @property
    def starved(self) -> bool:
        """Whether the reader waits for the client, not the client for the reader."""
        return not self.complete and not self._held

    def finish(self) -> None:
        """That was all."""
        with self._changed:
            self.complete = True
            self._changed.notify()

    def fail(self, problem: ProblemError) -> None:
        """The reader gets this problem once it has read what is there."""
        with self._changed:
            self._problem = self._problem or problem
            self._changed.notify()

    def stream(self) -> "Streamed":
        """Itself."""
        return self

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, waiting for the first. Empty at the end. Raises ProblemError."""
        if not self._asked and not self._parts and not self.complete:
            self._asked = True
            self._wanted()
        with self._changed:
            # No time-out: the connection fails what is too slow, and what was lost.
            while not self._parts and not self.complete and self._problem is None:
                self._changed.wait()
            if not self._parts:
                if self._problem is not None:
                    raise self._problem
                return b""
            part = self._parts.popleft()
            if 0 <= size < len(part):
                self._parts.appendleft(part[size:])
                part = part[:size]
            was_full = self.full
            self._held -= len(part)
            freed = was_full and not self.full
        if freed:
            self._taken()
        return part

    def close(self) -> None:
        """Forget what nobody has read."""
        with self._changed:
            self._parts.clear()
            self._held = 0

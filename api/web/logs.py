"""Logs: one JSON object per line, without secrets; within a request each line carries its id.

Lines go to standard output, or to a file that rotates. Nobody waits for the output, or fails with
it. A server puts its lines into a bounded queue, from which a thread writes them: an output that is
full or closed, or a pipe that nobody reads, costs lines, which are counted, and no request.
"""

import fcntl
import logging
import mmap
import os
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from api.web.text import escaped

QUEUED = 4096  # lines that may wait for the output; some 1 MB
GATHER = 0.02  # seconds that lines wait for others, so that one write takes several
WHOLE = 4096  # bytes; a pipe takes so much in one write (PIPE_BUF), and never mixes it with others'
SLOTS, SLOT = 512, struct.Struct("=Q")
STDOUT, STDERR = 1, 2


class Losses:
    """Counts what was lost in all processes of a server: a number for each, in shared memory.

    It is made before the server forks. Each process adds in a place of its own, found by its id.
    """

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, SLOTS * SLOT.size)

    def add(self, count: int = 1) -> None:
        """So many more."""
        place = os.getpid() % SLOTS * SLOT.size
        (before,) = SLOT.unpack_from(self._shared, place)
        SLOT.pack_into(self._shared, place, before + count)

    def __int__(self) -> int:
        return sum(count for (count,) in SLOT.iter_unpack(self._shared[:]))


class Writer:
    """Writes lines: immediately, or, after `start_thread`, from a thread. Never raises."""

    def __init__(self) -> None:
        self.lost = Losses()
        self.fault = ""  # why this process could not write last; empty when it could
        self._threaded = False
        self._file: Path | None = None
        self._limit = 0
        self._torn = False  # the output ends within a line
        self._told = 0  # losses that the log itself tells of
        self._forget_thread()
        os.register_at_fork(after_in_child=self._forget_thread)

    def _forget_thread(self) -> None:
        # After a fork what is queued is the parent's to write.
        self._queue: deque[str] = deque()
        self._woken = threading.Event()
        self._writing = False
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    def start_thread(self) -> None:
        """From now on nobody waits for the output."""
        self._threaded = True

    def use_file(self, file: Path, limit: int) -> None:
        """Make this file (0600) standard output and error of this process and its children.

        At `limit` bytes it is renamed to FILE.1, whose content goes. Raises OSError.
        """
        self._file, self._limit = file, limit
        self._open()

    def write(self, line: str) -> None:
        """One line, without its end."""
        if not self._threaded:
            self._put([line])
        elif len(self._queue) >= QUEUED:
            self._lose(1, self.fault or "the output takes no more")
        else:
            self._queue.append(line)
            if not self._woken.is_set():
                self._wake()

    def flush(self, seconds: float) -> None:
        """Wait until all is written, but no longer than this."""
        end = time.monotonic() + seconds
        self._hurry.set()
        while (self._queue or self._writing) and time.monotonic() < end:
            self._wake()
            time.sleep(GATHER / 4)

    # ---- the thread ---------------------------------------------------------------------------

    def _wake(self) -> None:
        self._woken.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="log", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            self._woken.wait()
            self._hurry.wait(GATHER)
            self._woken.clear()
            self._writing = True
            while self._queue:
                self._put([self._queue.popleft() for _ in range(min(64, len(self._queue)))])
            self._writing = False

    # ---- the output ---------------------------------------------------------------------------

    def _put(self, lines: list[str]) -> None:
        if self._file is not None:
            self._rotate(self._file)
        if self._told < (lost := int(self.lost)) and not self.fault:
            self._told = lost
            lines = [*lines, f'{{"event":"log lines lost","level":"warning","lost":{lost}}}']
        part: list[bytes] = []
        size = 0
        for line in lines:
            data = line.encode("utf-8", "replace") + b"\n"
            if part and size + len(data) > WHOLE:
                self._send(part)
                part, size = [], 0
            part.append(data)
            size += len(data)
        self._send(part)

    def _send(self, lines: list[bytes]) -> None:
        """In one write, if the output takes it whole."""
        data = memoryview((b"\n" if self._torn else b"") + b"".join(lines))
        try:
            while data:
                data = data[_write(data) :]
                self._torn = True
        except (OSError, ValueError) as error:  # ValueError: the stream is closed
            reason = error.strerror if isinstance(error, OSError) else None
            self._lose(len(lines), reason or str(error))
        else:
            self._torn, self.fault = False, ""

    def _lose(self, count: int, fault: str) -> None:
        self.fault = fault
        self.lost.add(count)

    # ---- the file -----------------------------------------------------------------------------

    def _open(self) -> None:
        assert self._file is not None  # noqa: S101 - for the type checker
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        opened = os.open(self._file, flags, 0o600)
        try:
            os.dup2(opened, STDOUT)
            os.dup2(opened, STDERR)
        finally:
            os.close(opened)

    def _rotate(self, file: Path) -> None:
        """Put the file aside when it is long; follow when another process has done so."""
        with suppress(OSError):
            ours = os.fstat(STDOUT)
            if ours.st_size > self._limit:
                folder = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX)  # the processes of a server: one at a time
                    if _is(file, ours):
                        file.replace(file.with_name(f"{file.name}.1"))
                finally:
                    os.close(folder)
            if not _is(file, ours):
                self._open()


def _is(file: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(file.stat(), found)
    except FileNotFoundError:
        return False


def _write(data: memoryview) -> int:
    """To standard output, whatever that is at the moment (tests replace it)."""
    stream = sys.stdout
    if stream is None or stream.closed:
        raise OSError(0, "standard output is closed")
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # a stream of this process alone
        stream.write(bytes(data).decode())
        return len(data)
    return os.write(descriptor, data)


SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie", "uri")
HIDDEN = "(hidden)"


def hide_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blank what is named like a secret. The last line of defence: log no secrets at all."""
    for name in event:
        if any(word in name.lower() for word in SECRET_WORDS):
            event[name] = HIDDEN
    return event


def encode(event: Any, **_: Any) -> str:
    """One log line. What a terminal would obey, or not show, is escaped."""
    return escaped(msgspec.json.encode(event, enc_hook=str).decode())


writer = Writer()
current_request: ContextVar[str | None] = ContextVar("current_request", default=None)


class Lines:
    """structlog's way to the writer."""

    def msg(self, line: str) -> None:
        """One line."""
        writer.write(line)

    debug = info = warning = error = critical = msg


class Handler(logging.Handler):
    """The standard library's way to the writer."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        writer.write(self.format(record))


def name_request(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the id of the request at work in this context, if there is one."""
    request_id = current_request.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


class RequestLine(msgspec.Struct, kw_only=True):
    """The line of a request. Its fields are fixed, and none of them is ever a secret."""

    request_id: str
    address: str | None
    method: str
    route: str | None
    status: int
    ms: float
    db_ms: float
    user: str | None
    event: str = "request"
    level: str = "info"
    timestamp: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


def request(line: RequestLine) -> None:
    """Write it, past structlog: its chain of processors cost a twentieth of a read by id."""
    if _shown["info"]:
        writer.write(msgspec.json.encode(line).decode())


_shown = {"info": True}

SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    name_request,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    hide_secrets,
]


def configure(level: str = "info") -> None:
    """Send structlog's lines and the standard library's (gunicorn, pymongo) through one format."""
    number = logging.getLevelNamesMapping()[level.upper()]
    _shown["info"] = number <= logging.INFO
    structlog.configure(
        processors=[*SHARED, structlog.processors.JSONRenderer(serializer=encode)],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: Lines(),
        cache_logger_on_first_use=True,
    )
    handler = Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *SHARED],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(serializer=encode),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.INFO))

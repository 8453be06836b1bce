"""The background server: is it running, start it, stop it, read its log.

The server's processes hold a lock on server.lock for as long as one of them lives (they inherit
the open file). So "running" cannot be mistaken: not after a crash, not after a reboot, not for a
stranger that was given the same process id.

The log is a file, and the one before it, which rotation put aside.
"""

import errno
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from api.errors import LocalError
from api.local.state import Record, StateFolder
from api.serving.listening import listen, offer, take_over
from console import files
from console.files import read_log
from console.ports import HOST
from console.terminal import python

FIRST_PORT = 8000
PORTS = 100  # looked at from there on
POLL = 0.03  # seconds
STOP_SECONDS = 12.0  # above what the settings drain and shutdown give it


class Instance:
    """One server: the processes that hold the lock on its file."""

    def __init__(self, lock: Path) -> None:
        self.lock = lock

    def pid(self) -> int | None:
        """The master's process id, or None when no process of the server lives."""
        text = files.holder(self.lock)
        return int(text) if text is not None and text.isdigit() else None

    def master_lives(self) -> bool:
        """Whether the master itself is among them: nobody else replaces a worker that ends."""
        pid = self.pid()
        if pid is None:
            return False
        try:
            os.kill(pid, 0)
            # Dead, but not yet collected by its parent: in a container that may take for ever.
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except ProcessLookupError:
            return False
        except OSError:  # no /proc here
            return True

    def end(self, number: signal.Signals, seconds: float) -> bool:
        """Tell it to end, gently first. False when it did not run. Raises LocalError."""
        pid = self.pid()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            if self.master_lives():
                os.kill(pid, number)
            else:  # all its processes are of the group that it began
                os.killpg(pid, signal.SIGTERM)
        if not self._gone_within(seconds):
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if not self._gone_within(2):
                raise LocalError(f"process {pid} does not end. Kill it by hand")
        return True

    def _gone_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.pid() is not None:
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)  # one that this command started
            if time.monotonic() > end:
                return False
            time.sleep(POLL)
        return True


class BackgroundServer:
    """The server of one state folder.

    While one replaces another there are two: the next one accepts connections beside the present
    one, from the same port, before that is told to finish. Whatever breaks this off, the next
    command tidies up.
    """

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._present = Instance(state.server_lock)
        self._next = Instance(state.server_lock.with_suffix(".next"))
        self._last = Instance(state.server_lock.with_suffix(".last"))
        self._child: subprocess.Popen[bytes] | None = None
        self._ready: int | None = None
        self._handed_on = False

    def pid(self) -> int | None:
        """The master's process id, or None when no process of the server lives."""
        return self._present.pid()

    def master_lives(self) -> bool:
        """Whether it is whole: see Instance."""
        return self._present.master_lives()

    def tidy(self) -> None:
        """End what a replacement that was broken off has left."""
        self._next.end(signal.SIGTERM, STOP_SECONDS)
        self._last.end(signal.SIGUSR2, STOP_SECONDS)

    def begin(self, environment: Mapping[str, str], asked: int | None, record: Record) -> int:
        """Start the next server in the background; it outlives this command. Returns its port.

        On the port of the present one, if there is one and no other was asked for. Raises
        LocalError.
        """
        listener = None
        if self.pid() is not None and asked in (None, record.port):
            listener = take_over(self._state.door)
            self._handed_on = listener is not None
            if listener is None:  # it stands still
                self.stop()
        listener = listener or open_port(asked, record.port)
        door = offer(self._state.door.with_suffix(".next"))
        reading, writing = os.pipe()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(self._next.lock, flags, 0o600)
        try:
            if not files.try_lock(lock):
                raise LocalError("another server is being started. Run the same command again")
            port = int(listener.getsockname()[1])
            given = (listener.fileno(), door.fileno(), writing)
            with self._state.log.open("ab") as log:
                self._state.log.chmod(0o600)
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "api", "serve", "--inherit", *map(str, given)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**environment, "SHARDSTACK_PORT": str(port)},
                    pass_fds=[lock, *given],
                    start_new_session=True,
                )
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{self._child.pid}\n".encode(), 0)
        finally:
            for descriptor in (lock, writing):
                os.close(descriptor)  # the child keeps them
            listener.close()
            door.close()
        self._ready = reading
        return port

    def complete(self, seconds: float) -> None:
        """Once the next server accepts connections, make it the present one, and end that.

        Raises LocalError when it does not accept any in time.
        """
        self._wait_accepting(seconds)
        if self.pid() is not None:
            self._present.lock.replace(self._last.lock)
        self._next.lock.replace(self._present.lock)
        self._state.door.with_suffix(".next").replace(self._state.door)
        self._last.end(signal.SIGUSR2 if self._handed_on else signal.SIGTERM, STOP_SECONDS)
        self._last.lock.unlink(missing_ok=True)

    def give_up(self) -> None:
        """End the next server, if it was begun; the present one goes on."""
        self._next.end(signal.SIGTERM, STOP_SECONDS)

    def _wait_accepting(self, seconds: float) -> None:
        assert self._ready is not None  # noqa: S101 - `begin` comes first
        end = time.monotonic() + seconds
        try:
            # A worker's byte; or nothing, since all that could write one have ended.
            while not select.select([self._ready], [], [], POLL)[0]:
                if time.monotonic() > end:
                    raise LocalError(
                        f"the server does not accept connections after {seconds:.0f} s. "
                        f"Look into {self._state.log}"
                    )
            if not os.read(self._ready, 1):
                raise LocalError(f"the server ended immediately: {self._last_words()}")
        finally:
            os.close(self._ready)

    def _last_words(self) -> str:
        """The end of the log: an `error:` line, or what else there is."""
        lines = self._state.log.read_text(errors="replace").splitlines() or ["it said nothing"]
        plain = [line for line in lines[-20:] if line.strip() and not line.startswith("{")]
        return f"{(plain or lines)[-1].removeprefix('error: ')} ({self._state.log})"

    def wait_ready(self, port: int, seconds: float) -> dict[str, Any]:
        """What /readyz says, once it says 200. Raises LocalError when it does not in time."""
        end = time.monotonic() + seconds
        while True:
            status, answer = probe(port)
            if status == 200:
                return answer
            if time.monotonic() > end:
                said = answer.get("detail", "no answer")
                raise LocalError(
                    f"the server on port {port} is not ready after {seconds:.0f} s: {said} "
                    f"Look into {self._state.log}, and at: {python()} -m cluster status"
                )
            time.sleep(POLL)

    def stop(self) -> bool:
        """Stop it, gently first. False when it was not running."""
        return self._present.end(signal.SIGTERM, STOP_SECONDS)


def probe(port: int) -> tuple[int, dict[str, Any]]:
    """/readyz of the server on `port`: status (0: no answer) and body."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        answer = msgspec.json.decode(response.read())
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        return 0, {}
    else:
        return response.status, answer if isinstance(answer, dict) else {}
    finally:
        connection.close()


def open_port(asked: int | None, remembered: int | None) -> socket.socket:
    """Listen on the port asked for, or the remembered one, or the first free one from 8000.

    Raises LocalError when the one asked for or remembered is taken by a stranger.
    """
    fixed = asked or remembered
    for port in (fixed,) if fixed is not None else range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return listen(HOST, port)
        except OSError as error:
            if error.errno == errno.EACCES:
                raise LocalError(f"port {port} needs more rights. Choose one above 1023") from None
            if error.errno != errno.EADDRINUSE:
                raise LocalError(f"cannot listen on port {port}: {error.strerror}") from None
    if fixed is not None:
        raise LocalError(
            f"port {fixed} is taken by another program. Stop that, or choose another "
            "port with --port"
        )
    raise LocalError(f"no free port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1}. Give --port")


def log_lines(
    log: Path, count: int, *, wanted: Callable[[str], bool], follow: bool = False
) -> Iterator[str]:
    """The last wanted lines of the log and of the one before it; then what is added."""
    before = log.with_name(f"{log.name}.1")
    return read_log(log, count, before=before, wanted=wanted, follow=follow)


def of_request(name: str) -> Callable[[str], bool]:
    """Whether a line belongs to the request of this id."""

    def wanted(line: str) -> bool:
        return name in line and _parse(line).get("request_id") == name

    return wanted


def readable(line: str) -> str:
    """A line as time, level, event, request and the rest; a stack trace on lines of its own."""
    entry = _parse(line)
    if not entry:
        return line
    trace = entry.pop("exception", None)
    head = [str(entry.pop("timestamp", ""))[:23], f"{entry.pop('level', ''):<7}"]
    head += [str(entry.pop("event", ""))]
    rest = [f"{name}={value}" for name, value in entry.items() if value is not None]
    text = " ".join(head + rest)
    return f"{text}\n{trace}" if trace else text


def _parse(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}

"""The background server: is it running, start it, stop it.

The server's processes hold a lock on server.lock for as long as one of them lives (they inherit
the open file). So "running" cannot be mistaken: not after a crash, not after a reboot, not for a
stranger that was given the same process id.
"""

import errno
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from api.files import LocalError
from api.local.state import State
from api.terminal import python

HOST = "127.0.0.1"
FIRST_PORT = 8000
PORTS = 100  # looked at from there on
POLL = 0.03  # seconds


class Server:
    """The server of one state folder."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._child: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """The master's process id, or None when no process of the server lives."""
        try:
            lock = os.open(self._state.server_lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(lock, 32)
            return int(text) if text.strip().isdigit() else None
        else:
            return None
        finally:
            os.close(lock)

    def master_lives(self) -> bool:
        """Whether the master itself is among them: without it the workers soon end, too."""
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

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it in the background; it outlives this command. Output goes to the log."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(self._state.server_lock, flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with self._state.log.open("ab") as log:
                self._state.log.chmod(0o600)
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "api", "serve"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                    pass_fds=[lock],
                    start_new_session=True,
                )
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{self._child.pid}\n".encode(), 0)
        finally:
            os.close(lock)  # the child keeps the lock

    def wait_ready(self, port: int, seconds: float) -> dict[str, str]:
        """What /readyz says, once it says 200. Raises LocalError when it does not in time."""
        end = time.monotonic() + seconds
        while True:
            status, answer = probe(port)
            if status == 200:
                return answer
            if self._child is not None and self._child.poll() is not None:
                raise LocalError(f"the server stopped at once. Its reason is in {self._state.log}")
            if time.monotonic() > end:
                said = answer.get("detail", "no answer")
                raise LocalError(
                    f"the server on port {port} is not ready after {seconds:.0f} s: {said} "
                    f"Look into {self._state.log}, and at: {python()} -m cluster status"
                )
            time.sleep(POLL)

    def stop(self, seconds: float) -> bool:
        """Stop it, gently first. False when it was not running."""
        pid = self.pid()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if not self._gone_within(seconds):
            # All its processes are of the group that it began.
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if not self._gone_within(2):
                raise LocalError(f"process {pid} does not end. Kill it by hand")
        return True

    def _gone_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.pid() is not None:
            if self._child is not None:
                self._child.poll()
            if time.monotonic() > end:
                return False
            time.sleep(POLL)
        return True


def probe(port: int) -> tuple[int, dict[str, str]]:
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


def choose_port(asked: int | None, remembered: int | None) -> int:
    """The port to listen on: asked for, or remembered, or the first free one from 8000.

    Raises LocalError when the one asked for or remembered is taken by a stranger.
    """
    fixed = asked or remembered
    if fixed is not None:
        if not is_free(fixed):
            raise LocalError(
                f"port {fixed} is taken by another program. Stop that, or choose another "
                "port with --port"
            )
        return fixed
    for port in range(FIRST_PORT, FIRST_PORT + PORTS):
        if is_free(port):
            return port
    raise LocalError(f"no free port from {FIRST_PORT} to {FIRST_PORT + PORTS - 1}. Give --port")


def is_free(port: int) -> bool:
    """Whether one may listen there. Raises LocalError where this user may not."""
    with socket.socket() as probe_socket:
        probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe_socket.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise LocalError(f"port {port} needs more rights. Choose one above 1023") from None
            return False
    return True

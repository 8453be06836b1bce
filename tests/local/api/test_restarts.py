"""Servers end and are replaced under load: each connection is answered, or refused when made.

Nobody's request is lost: neither one that a worker has, nor one whose connection the kernel has
accepted for a worker that is about to end.
"""

from __future__ import annotations

import collections
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.local.cluster import LocalCluster
from tests.helpers.api import RunningServer, free_port

pytestmark = [
    pytest.mark.long,
    pytest.mark.core,
    pytest.mark.usefixtures("store"),  # which applies the schema
]

ENOUGH = 150
"""Answers before something happens to the server, and again after all is over."""
SECONDS = 60.0
REFUSED = "refused"


class Consumers:
    """Clients that ask without end, half of them on a connection of its own for each request."""

    def __init__(self, port: int, count: int = 12) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self._port = port
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(count)
        ]

    def __enter__(self) -> Consumers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        print(dict(self.outcomes))  # noqa: T201 - the figures, shown by -s and on failure

    def wait(self, outcome: str = "401", count: int = ENOUGH) -> None:
        """Until there are so many more of these."""
        end = time.monotonic() + SECONDS
        enough = self.outcomes[outcome] + count
        while self.outcomes[outcome] < enough:
            assert time.monotonic() < end, self.outcomes
            time.sleep(0.02)

    def _run(self, keep: bool) -> None:
        connection: socket.socket | None = None
        while not self._over.is_set():
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            except ConnectionRefusedError:
                self._count(REFUSED)
                time.sleep(0.01)
                continue
            try:
                status, goes_on = ask(connection, keep)
                self._count(status)
            except OSError as error:
                self._count(f"accepted, then {type(error).__name__}: {error}")
                goes_on = False
            if not goes_on:
                connection.close()
                connection = None
            time.sleep(0.002)
        if connection:
            connection.close()

    def _count(self, outcome: str) -> None:
        with self._lock:
            self.outcomes[outcome] += 1


def ask(connection: socket.socket, keep: bool) -> tuple[str, bool]:
    """A request's status, and whether the connection goes on."""
    more = b"" if keep else b"Connection: close\r\n"
    connection.sendall(b"GET /api/v1/auth/me HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
    data = b""
    while not whole(data):
        got = connection.recv(65536)
        if not got:
            raise OSError("closed without an answer")
        data += got
    head = data.partition(b"\r\n\r\n")[0].lower()
    return head.split()[1].decode(), keep and b"connection: close" not in head


def whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= int(length[0].partition(b":")[2])


@pytest.fixture
def served(environment: dict[str, str], tmp_path: Path) -> Iterator[RunningServer]:
    running = RunningServer({**environment, "SHARDSTACK_WORKERS": "2"}, tmp_path / "log")
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def test_sigterm(served: RunningServer) -> None:
    with Consumers(served.port) as consumers:
        consumers.wait()
        served.process.terminate()
        assert served.process.wait(SECONDS) == 0
        consumers.wait(REFUSED, 30)
    assert set(consumers.outcomes) == {"401", REFUSED}


def test_sighup(served: RunningServer) -> None:
    """All workers are renewed."""
    with Consumers(served.port) as consumers:
        consumers.wait()
        before = children(served.process.pid)
        served.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + SECONDS
        while before & children(served.process.pid):
            assert time.monotonic() < end
            time.sleep(0.05)
        consumers.wait()
    assert set(consumers.outcomes) == {"401"}


def test_a_service_manager_keeps_the_port(environment: dict[str, str]) -> None:
    """As systemd does (LISTEN_FDS): connections made between two servers wait for the second."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    port = listener.getsockname()[1]
    activate = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
        "os.execv(sys.executable, [sys.executable, '-m', 'api', 'serve', '--state', 'nowhere'])"
    )

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", activate, str(listener.fileno())],
            env={**os.environ, **environment, "LISTEN_FDS": "1", "SHARDSTACK_WORKERS": "2"},
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
        )

    running = start()
    try:
        with Consumers(port) as consumers:
            consumers.wait()
            running.terminate()
            assert running.wait(SECONDS) == 0
            running = start()
            consumers.wait()
        assert set(consumers.outcomes) == {"401"}
    finally:
        running.terminate()
        running.wait(SECONDS)
        listener.close()


# ---- on a laptop ---------------------------------------------------------------------------------


@pytest.fixture
def state(cluster: LocalCluster, tmp_path: Path) -> Iterator[Path]:
    """A state folder beside the shared cluster's, with a server."""
    folder = tmp_path / "state"
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets" / "app.uri").write_text(cluster.uri("app"))
    assert run(folder, "up", "--port", str(free_port())).returncode == 0
    yield folder
    run(folder, "down")


def run(state: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    more = ["--samples", "5"] if arguments[0] == "up" else []
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments, *more],
        env={**os.environ, "SHARDSTACK_STATE": str(state), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def status(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(state, "status", "--json").stdout)
    return found


def port_of(state: Path) -> int:
    return int(status(state)["url"].rpartition(":")[2])


def children(pid: int) -> set[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(one) for one in text.split()}


def runs(pid: int) -> bool:
    """Whether it does; the dead may wait long for somebody who buries them."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def restart(state: Path) -> str:
    return run(state, "restart").stdout


def other_settings(state: Path) -> str:
    return run(state, "up", SHARDSTACK_PAGE_SIZE="21").stdout


def killed(state: Path) -> str:
    """Its workers serve on, and hand the port over."""
    os.kill(status(state)["pid"], signal.SIGKILL)
    return run(state, "up").stdout


@pytest.mark.parametrize(
    ("change", "says"),
    [(restart, "restarting"), (other_settings, "other settings"), (killed, "lost its master")],
)
def test_a_successor_takes_over(state: Path, change: Callable[[Path], str], says: str) -> None:
    before = status(state)
    with Consumers(port_of(state)) as consumers:
        consumers.wait()
        said = change(state)
        consumers.wait()
    assert says in said
    assert set(consumers.outcomes) == {"401"}
    after = status(state)
    assert after["ready"]
    assert (after["url"], after["pid"] == before["pid"]) == (before["url"], False)


def test_workers_without_a_master_serve_on(state: Path) -> None:
    pid = status(state)["pid"]
    workers = children(pid)
    os.kill(pid, signal.SIGKILL)
    with Consumers(port_of(state)) as consumers:
        end = time.monotonic() + 4  # they would notice within a second
        while time.monotonic() < end:
            consumers.wait(count=20)
    assert set(consumers.outcomes) == {"401"}
    assert "its master is gone" in run(state, "status").stdout
    assert "is down" in run(state, "down").stdout
    assert not any(map(runs, workers))


def test_a_server_that_cannot_start_leaves_the_one_before(state: Path) -> None:
    before = status(state)
    with Consumers(port_of(state)) as consumers:
        consumers.wait()
        done = run(state, "up", SHARDSTACK_WORKERS="2", PYTHONPATH=str(broken(state)))
        consumers.wait()
    assert done.returncode == 1
    assert "the server ended immediately" in done.stderr
    assert set(consumers.outcomes) == {"401"}
    assert status(state)["pid"] == before["pid"]


def broken(folder: Path) -> Path:
    """A folder whose gunicorn cannot be imported: it comes before the real one on the path."""
    (folder / "gunicorn").mkdir()
    (folder / "gunicorn" / "__init__.py").write_text("raise RuntimeError('broken')\n")
    return folder


@pytest.mark.parametrize("kept", ["server.next", "server.last"])
def test_a_replacement_that_was_broken_off_is_tidied_up(state: Path, kept: str) -> None:
    """`up` was killed before the next server was the present one, or the last one had ended."""
    other = state.parent / "other"
    (other / "secrets").mkdir(parents=True)
    (other / "secrets" / "app.uri").write_text((state / "secrets" / "app.uri").read_text())
    assert run(other, "up", "--port", str(free_port())).returncode == 0
    left = status(other)["pid"]
    (other / "api" / "server.lock").replace(state / "api" / kept)
    assert run(state, "up").returncode == 0
    assert not runs(left)
    assert status(state)["ready"]

"""Code that changes while a server runs is served by `up` and by `serve --reload`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

import api
import console
from cluster.local.cluster import LocalCluster
from tests.helpers.api import free_port

pytestmark = [
    pytest.mark.long,
    pytest.mark.core,
    pytest.mark.usefixtures("store"),  # which applies the schema
    pytest.mark.timeout(400),  # for many processes in a row on a busy machine
]

PACKAGE = Path(api.__file__).parent
SECONDS = 90.0


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the API's code, used by what runs there."""
    skip = shutil.ignore_patterns("__pycache__")
    for package in (PACKAGE, Path(console.__file__).parent):
        shutil.copytree(package, tmp_path / "copy" / package.name, ignore=skip)
    return tmp_path / "copy"


def add_notes(copy: Path) -> Path:
    """Save the resource of the README. Returns its file."""
    found = re.search(
        r"```python\n(.*?)```", (PACKAGE / "crud" / "README.md").read_text(), re.DOTALL
    )
    assert found is not None
    path = copy / "api" / "resources" / "notes.py"
    path.write_text(found[1])
    return path


def asked(port: int) -> int:
    """404 where there are no notes, 401 where there are; 0 without a server."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/api/v1/notes", timeout=20).status_code
    except requests.RequestException:
        return 0


def wait(port: int, status: int) -> None:
    end = time.monotonic() + SECONDS
    while (found := asked(port)) != status:
        assert time.monotonic() < end, found
        time.sleep(0.1)


@pytest.fixture
def state(cluster: LocalCluster, copy: Path, tmp_path: Path) -> Iterator[Path]:
    """A state folder beside the shared cluster's. Removes the notes at the end."""
    folder = tmp_path / "state"
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets" / "app.uri").write_text(cluster.uri("app"))
    yield folder
    run(copy, folder, "down")
    (copy / "api" / "resources" / "notes.py").unlink(missing_ok=True)
    run(copy, folder, "schema", "drop", "notes", "--yes")


def run(copy: Path, state: Path, *arguments: str) -> str:
    """What the command said on standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=copy,
        env={**os.environ, "SHARDSTACK_STATE": str(state)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def calling(port: int) -> Iterator[list[int]]:
    """Call meanwhile, without a pause. Yields the statuses."""
    statuses: list[int] = []
    ended = threading.Event()

    def call() -> None:
        while not ended.is_set():
            statuses.append(asked(port))

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        thread.join()


def test_up_serves_the_code_that_is_there(copy: Path, state: Path) -> None:
    port = free_port()
    up = ["up", "--samples", "3", "--port", str(port)]
    run(copy, state, *up)
    assert asked(port) == 404
    notes = add_notes(copy)
    assert "runs older code" in run(copy, state, "status")

    with calling(port) as statuses:
        said = run(copy, state, *up)
    assert "the server ran older code; replaced it" in said
    assert "shardstack.notes is now sharded" in said
    assert asked(port) == 401
    assert set(statuses) <= {404, 401}
    assert "older code" not in run(copy, state, "status")
    said = run(copy, state, *up)
    assert "replaced it" not in said
    assert "no resource has" not in said

    notes.unlink()
    said = run(copy, state, *up)
    assert "the server ran older code; replaced it" in said
    assert "no resource has notes any more" in said
    assert asked(port) == 404


class Reloaded:
    """A running `serve --reload` of the copy."""

    def __init__(self, copy: Path, port: int, process: subprocess.Popen[bytes], said: Path) -> None:
        self.copy = copy
        self.port = port
        self.process = process
        self.said = said

    def until(self, text: str, status: int) -> None:
        """Wait until it has said so; all the while its port answers with `status`."""
        end = time.monotonic() + SECONDS
        while text not in self.said.read_text():
            assert asked(self.port) == status
            assert time.monotonic() < end, self.said.read_text()

    def masters(self) -> set[int]:
        """The servers' process ids."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}


@pytest.fixture
def reloaded(copy: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Reloaded]:
    port, said = free_port(), tmp_path / "said"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "serve", "--reload", "--state", str(tmp_path / "none")],
            cwd=copy,
            env={**os.environ, **environment, "SHARDSTACK_PORT": str(port)},
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    wait(port, 404)
    yield Reloaded(copy, port, process, said)
    if process.poll() is None:
        process.terminate()
        process.wait(SECONDS)


def test_reload(reloaded: Reloaded) -> None:
    program = reloaded.copy / "api" / "app.py"
    program.write_text("this is no Python\n")
    reloaded.until("the code does not start; the code before it serves on", 404)
    shutil.copy(PACKAGE / "app.py", program)
    add_notes(reloaded.copy)
    wait(reloaded.port, 401)
    reloaded.process.terminate()
    assert reloaded.process.wait(SECONDS) == 0
    assert asked(reloaded.port) == 0


def test_reload_of_code_that_never_comes_to_serve(reloaded: Reloaded) -> None:
    program, stuck = reloaded.copy / "api" / "app.py", reloaded.copy / "stuck"
    program.write_text(f"import time\nopen({str(stuck)!r}, 'w').close()\ntime.sleep(1000)\n")
    end = time.monotonic() + SECONDS
    while not stuck.exists():
        assert time.monotonic() < end
        assert asked(reloaded.port) == 404
    shutil.copy(PACKAGE / "app.py", program)
    add_notes(reloaded.copy)
    wait(reloaded.port, 401)


def test_reload_replaces_a_server_that_has_ended(reloaded: Reloaded) -> None:
    (master,) = reloaded.masters()
    os.kill(master, signal.SIGKILL)
    end = time.monotonic() + SECONDS
    while not reloaded.masters() - {master}:
        assert time.monotonic() < end, reloaded.said.read_text()
        time.sleep(0.1)
    wait(reloaded.port, 404)


def test_a_reload_that_is_killed_leaves_no_server(reloaded: Reloaded) -> None:
    """Nobody else would end it, and the next one could not have its port."""
    reloaded.process.kill()
    reloaded.process.wait(SECONDS)
    wait(reloaded.port, 0)

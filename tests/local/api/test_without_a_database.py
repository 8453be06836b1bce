"""Commands whose database is not there: one line that says what was tried, and what to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.local.cluster import LocalCluster
from tests.helpers.api import free_port
from tests.local.cluster.small import SMALL

pytestmark = pytest.mark.long


def run(state: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments, "--state", str(state)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder that leads to routers which are not there."""
    (tmp_path / "secrets").mkdir()
    uri = "mongodb://app:x@127.0.0.1:1,127.0.0.1:2/shardstack?authSource=admin"
    (tmp_path / "secrets" / "app.uri").write_text(uri)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("up", marks=pytest.mark.core),
        "restart",
        pytest.param("schema", marks=pytest.mark.core),
        "sweep",
        "sample-data --count 3",
        "create-admin --email a@example.com",
        "setup --jwt-file {0}/jwt --admin-file {0}/admin",
    ],
)
def test_no_database(state: Path, command: str) -> None:
    done = run(state, *command.format(state).split())
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: the database is not there: nobody answers after ")
    assert "127.0.0.1:1, 127.0.0.1:2" in last
    assert last.endswith("make up.")
    assert "waiting for the database" in done.stdout + done.stderr
    assert "server started" not in done.stdout
    assert not (state / "api" / "server.lock").exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[LocalCluster]:
    local = LocalCluster(tmp_path / "state")
    local.up(**SMALL)
    yield local
    local.down(purge=True)


@pytest.mark.core
def test_routers_without_shards(small: LocalCluster) -> None:
    """Members die, and the router answers: readiness and commands say so, within their time."""
    folder = small.state.folder
    port = str(free_port())
    try:
        assert run(folder, "up", "--samples", "3", "--port", port).returncode == 0
        small.kill("shard-1-1")
        small.kill("config-1")
        end = time.monotonic() + 60
        while "not ready" not in (said := run(folder, "status").stdout):
            assert time.monotonic() < end
        assert "no shard has answered a majority read" in said
        done = run(folder, "schema")
        assert "the routers answer, but no shard does" in done.stderr.splitlines()[-1]
        small.up()
        assert run(folder, "up", "--samples", "3").returncode == 0
        assert run(folder, "status").returncode == 0
    finally:
        run(folder, "down")


@pytest.mark.core
def test_a_taken_port(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        for more in ([], ["--reload"]):
            done = run(tmp_path, "serve", *more, **environment, SHARDSTACK_PORT=port)
            assert done.returncode == 1
            assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1, port {port}: ")
            assert done.stderr.count("\n") == 1
            assert not done.stdout

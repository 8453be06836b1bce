"""`python -m api …` as people run it: up and down at any moment, mistakes in one line."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from api.local.server import Instance
from api.samples import data
from api.store import Documents
from cluster.local.cluster import LocalCluster
from cluster.servers.waiting import Waiter

SAMPLES = "40"
SECONDS = 60.0
# The log-ins of all tests come from one address, and are counted in one database.
UNTHROTTLED = {"SHARDSTACK_LOGIN_RATE_ADDRESS": "1000000/minute"}


@pytest.fixture(scope="module")
def state(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder beside the shared cluster's, so that these tests leave that one alone."""
    folder = tmp_path_factory.mktemp("state")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "app.uri").write_text(cluster.uri("app"))
    yield folder
    api(folder, "down")


def api(state: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        env={**os.environ, "SHARDSTACK_STATE": str(state), **UNTHROTTLED, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,  # above what `up` itself waits for a server on a busy machine
    )


def up(state: Path, *more: str) -> str:
    done = api(state, "up", "--samples", SAMPLES, *more)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def status(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(api(state, "status", "--json").stdout)
    return found


def ready(state: Path) -> dict[str, Any]:
    """Its status once it says so: on a busy machine one probe may be too slow."""
    return Waiter(SECONDS).until(
        lambda: found if (found := status(state))["ready"] else None,
        lambda: f"not ready: {status(state)}",
    )


def kill(state: Path, send: Callable[[int, int], None], gone: Callable[[Instance], bool]) -> None:
    """Kill what `send` reaches, and wait: a busy machine ends what was killed a while later."""
    server = Instance(state / "api" / "server.lock")
    pid = server.pid()
    assert pid is not None
    send(pid, signal.SIGKILL)
    Waiter(SECONDS).until(lambda: gone(server) or None, lambda: f"{pid} lives")


@pytest.mark.long
@pytest.mark.core
@pytest.mark.timeout(400)  # for many processes in a row on a busy machine
def test_up_at_any_moment(state: Path, users: Documents) -> None:
    first = up(state)
    assert f"{SAMPLES} users" in first or "existed" in first
    before = ready(state)
    assert before["router"]

    # The curl line works as it is printed.
    line = re.search(r"try +(curl .*)", first)
    assert line is not None
    done = subprocess.run(["/bin/bash", "-c", line[1]], capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["items"]) == 3

    # All up: nothing changes.
    second = up(state)
    assert status(state)["pid"] == before["pid"]
    password = json.loads((state / "api" / "admin.json").read_text())["password"]
    assert password not in second

    # The master killed, its workers serve on; then everything killed.
    kill(state, os.kill, lambda server: not server.master_lives())
    assert "the server had lost its master; replaced it" in up(state)
    assert ready(state)["url"] == before["url"]
    kill(state, os.killpg, lambda server: server.pid() is None)
    assert "server started" in up(state)
    assert ready(state)["url"] == before["url"]

    # A sample user that was deleted does not come back.
    gone = data.sample_id(7)
    users.delete(gone)
    up(state)
    assert users.get(gone) is None

    assert "is down" in api(state, "down").stdout
    assert "does not run" in api(state, "down").stdout
    assert api(state, "status").returncode == 3


@pytest.mark.long
@pytest.mark.core
def test_up_interrupted_half_way(state: Path) -> None:
    for wait in (0.3, 0.7, 1.1):
        child = subprocess.Popen(
            [sys.executable, "-m", "api", "up", "--samples", SAMPLES],
            env={**os.environ, "SHARDSTACK_STATE": str(state), **UNTHROTTLED},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            child.wait(wait)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    up(state)
    assert ready(state)
    api(state, "down")


def test_files_are_private(state: Path) -> None:
    up(state)
    for path in (state / "api").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_taken_port(state: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        done = api(state, "up", "--port", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: port {port} is taken by another program. Stop that, or choose another port "
        "with --port.\n"
    )
    assert api(tmp_path, "status").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "says"),
    [
        (["up"], {}, 1, "there is no cluster"),
        (["serve"], {}, 1, "SHARDSTACK_DATABASE_URI is not set"),
        (["frobnicate"], {}, 2, "No such command"),
        (["up", "--prot", "1"], {}, 2, "--port"),
        (["up", "--port", "x"], {}, 2, "--port"),
        (["sample-data", "--count", "0"], {}, 2, "--count"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], code: int, says: str
) -> None:
    done = api(tmp_path, *arguments, **environment)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


@pytest.mark.parametrize(
    "secret", ["", "short", "x" * 40, "your-256-bit-secret-your-256-bit-secret", "change-me" * 8]
)
def test_serve_refuses_weak_secrets(state: Path, secret: str) -> None:
    done = api(state, "serve", SHARDSTACK_JWT_SECRET=secret)
    assert done.returncode == 1
    assert "Make one with: python3 -c" in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(secret) < 8 or secret not in done.stderr


@pytest.mark.long
@pytest.mark.core
def test_what_a_removed_resource_left_is_removed_after_a_question(
    state: Path, users: Documents
) -> None:
    store = users.collection.database
    store["bygone"].insert_one({"n": 1})
    assert "no resource has bygone: 1 documents" in api(state, "schema", "--orphans").stdout
    asked = api(state, "schema", "drop", "bygone")
    assert (asked.returncode, "--yes" in asked.stderr) == (1, True)
    assert store["bygone"].count_documents({}) == 1
    done = api(state, "schema", "drop", "bygone", "--yes")
    assert (done.returncode, done.stdout.startswith("removed bygone: 1 documents")) == (0, True)
    again = api(state, "schema", "drop", "bygone", "--yes")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "bygone" not in store.list_collection_names()


def test_schema_can_be_repeated(state: Path) -> None:
    assert api(state, "schema").returncode == 0
    done = api(state, "schema")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "shardstack.users is sharded by {_id: hashed} already" in lines
    assert all(line.endswith(" already") for line in lines)


@pytest.mark.long
def test_sample_data_can_be_repeated(state: Path, users: Documents) -> None:
    assert api(state, "sample-data", "--count", SAMPLES).returncode == 0
    again = api(state, "sample-data", "--count", SAMPLES)
    existed = f"samples: {SAMPLES} users, 40 projects, 25 leads existed"
    assert again.stdout.splitlines() == ["samples: 0 users, 0 projects, 0 leads created", existed]
    found = users.get(data.sample_id(3))
    assert found is not None
    assert "password_hash" not in found
    assert found["email"] == data.sample_user(3)["email"]


def test_create_admin(state: Path, another: Any, client: Any) -> None:
    email = another()["email"]
    made = api(state, "create-admin", "--email", email)
    password = re.search(r"password: (\S+)", made.stdout)
    assert password is not None
    body = {"email": email, "password": password[1]}
    assert client.post("/api/v1/auth/login", json=body).status_code == 200
    assert "existing" in api(state, "create-admin", "--email", email).stdout
    assert client.post("/api/v1/auth/login", json=body).status_code == 200

    person = another()
    client.post("/api/v1/auth/signup", json=person)
    refused = api(state, "create-admin", "--email", person["email"])
    assert refused.returncode == 1
    assert "--promote" in refused.stderr
    promoted = api(state, "create-admin", "--email", person["email"], "--promote")
    assert "promoted" in promoted.stdout


@pytest.mark.long
def test_sigterm_drains(environment: dict[str, str], tmp_path: Path, server: Any) -> None:
    """Readiness turns 503 while the port still answers; then the server ends with 0."""
    running = type(server)({**environment, "SHARDSTACK_DRAIN": "1"}, tmp_path / "log")
    running.wait_ready()
    began = time.monotonic()
    running.process.terminate()
    seen = set()
    with requests.Session() as session:
        while time.monotonic() - began < 10:
            try:
                seen.add(session.get(f"{running.url}/readyz", timeout=2).status_code)
                session.get(f"{running.url}/healthz", timeout=2).raise_for_status()
            except requests.ConnectionError:
                break
            time.sleep(0.02)
    assert running.process.wait(60) == 0
    assert 503 in seen
    assert time.monotonic() - began > 0.9


def test_the_log_is_json_and_holds_no_secret(server: Any, another: Any) -> None:
    person = another()
    requests.post(f"{server.url}/api/v1/auth/signup", json=person, timeout=10)
    body = {"email": person["email"], "password": person["password"]}
    answer = requests.post(f"{server.url}/api/v1/auth/login", json=body, timeout=10)
    token = answer.json()["access_token"]
    me = requests.get(
        f"{server.url}/api/v1/auth/me?x={person['password']}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    end = time.monotonic() + 5
    while (request_id := me.headers["X-Request-Id"]) not in server.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert any(line.get("request_id") == request_id for line in lines)
    for secret in (person["password"], token, person["email"], person["national_id"]):
        assert secret not in text


def test_a_chunked_body_over_the_limit(server: Any) -> None:
    answer = requests.post(
        f"{server.url}/api/v1/auth/login",
        data=(b"x" * 1000 for _ in range(100)),
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert answer.status_code == 413

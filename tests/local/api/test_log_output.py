"""The answer is the truth, whatever becomes of the log and the metrics; and the loss is counted."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.helpers.api import free_port, make_person

pytestmark = [
    pytest.mark.long,
    pytest.mark.core,
    pytest.mark.usefixtures("store"),  # which applies the schema
]

TOKEN = "a-token-for-scrapers-only-7f1c"
SERVE = [sys.executable, "-m", "api", "serve", "--state", "nowhere"]


class Quiet:
    """A server whose standard output is made by the test."""

    def __init__(self, environment: dict[str, str], command: list[str], **streams: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        more = {"SHARDSTACK_PORT": str(self.port), "SHARDSTACK_METRICS_TOKEN": TOKEN}
        more |= {"SHARDSTACK_WORKERS": "2"}
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment, **more}, **streams
        )

    def wait_ready(self) -> dict[str, Any]:
        end = time.monotonic() + 60
        while True:
            try:
                answer = requests.get(f"{self.url}/readyz", timeout=5)
                if answer.status_code == 200:
                    found: dict[str, Any] = answer.json()
                    return found
            except (requests.ConnectionError, requests.Timeout):
                pass
            assert self.process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)

    def metric(self, name: str) -> float:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        lines = requests.get(f"{self.url}/metrics", headers=bearer, timeout=10).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()


@pytest.fixture(params=["full", "closed", "reader gone", "reader stands still"])
def unwritable(request: pytest.FixtureRequest, environment: dict[str, str]) -> Iterator[Quiet]:
    """A server that cannot write its log."""
    opened: list[int] = []
    command, streams = SERVE, {}
    if request.param == "full":
        opened.append(os.open("/dev/full", os.O_WRONLY))
    elif request.param == "closed":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *SERVE]
    else:
        reading, writing = os.pipe()
        opened.append(writing)
        if request.param == "reader gone":
            os.close(reading)
        else:
            opened.append(reading)
            os.set_blocking(writing, False)
            try:
                while os.write(writing, b"\n" * 4096):
                    pass
            except BlockingIOError:
                os.set_blocking(writing, True)
    if opened:
        streams = {"stdout": opened[0]}
    running = Quiet(environment, command, **streams)
    try:
        running.wait_ready()
        yield running
        assert running.stop() == 0
    finally:
        running.stop()
        for descriptor in opened:
            os.close(descriptor)


def test_answers_do_not_depend_on_the_log(unwritable: Quiet, request: Any) -> None:
    person = make_person()
    made = requests.post(f"{unwritable.url}/api/v1/auth/signup", json=person, timeout=20)
    assert made.status_code == 201
    for _ in range(30):
        assert requests.get(f"{unwritable.url}/api/v1/auth/me", timeout=20).status_code == 401
    again = requests.post(f"{unwritable.url}/api/v1/auth/signup", json=person, timeout=20)
    assert again.status_code == 409  # the first one took effect, as it said
    if "still" in request.node.name:  # then lines wait, and only those above a limit are lost
        return
    end = time.monotonic() + 20
    while (found := unwritable.wait_ready())["log_lines_lost"] < 32:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    assert found["log_fault"]
    assert unwritable.metric("shardstack_log_lines_lost_total") >= 32


def test_a_line_tells_of_lost_ones(environment: dict[str, str]) -> None:
    """A reader that stood still and goes on: no torn line, and the losses are in the log."""
    reading, writing = os.pipe()
    running = Quiet(environment, SERVE, stdout=writing)
    os.close(writing)
    try:
        running.wait_ready()
        session = requests.Session()
        end = time.monotonic() + 90
        while running.wait_ready()["log_lines_lost"] == 0:
            for _ in range(200):
                session.get(f"{running.url}/{'x' * 50}", timeout=20)
            assert time.monotonic() < end
        text = b""
        while b'"log lines lost"' not in text or not text.endswith(b"\n"):
            text += os.read(reading, 65536)
        for line in text.splitlines():
            json.loads(line)
    finally:
        os.close(reading)
        running.stop()


def can_mount() -> bool:
    """Whether a mount of our own can be made."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return (
        subprocess.run([unshare, "-rm", "true"], check=False, capture_output=True).returncode == 0
    )


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace")
def test_without_room_for_metrics(environment: dict[str, str], tmp_path: Path) -> None:
    """A mapped file without room for its pages would kill the worker (SIGBUS)."""
    script = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'
    log = (tmp_path / "log").open("wb")
    running = Quiet(environment, ["unshare", "-rm", "sh", "-c", script, "sh", *SERVE], stdout=log)
    try:
        running.wait_ready()
        for _ in range(20):
            missing = requests.get(f"{running.url}/nothing/{secrets.token_hex(4)}", timeout=20)
            assert missing.status_code == 404
        # Each worker counts for itself, and the one that answers may not have had any of these.
        end = time.monotonic() + 20
        while running.metric("shardstack_request_duration_seconds_count") < 1:
            assert time.monotonic() < end
        running.stop()
    finally:
        running.stop()
        log.close()
    text = (tmp_path / "log").read_text()
    assert "no room for metrics" in text
    assert "SIGBUS" not in text


def test_the_log_file_rotates(environment: dict[str, str], tmp_path: Path) -> None:
    """No line is lost or torn on the way, whichever worker puts the file aside."""
    log = tmp_path / "log"
    more = {"SHARDSTACK_LOG_FILE": str(log), "SHARDSTACK_LOG_LIMIT": "20000"}
    running = Quiet({**environment, **more}, SERVE, stdout=subprocess.DEVNULL)
    put_aside = tmp_path / "log.1"
    asked, lines = [], {}
    try:
        running.wait_ready()
        end = time.monotonic() + 60
        aside = 0
        while aside < 3:
            before = put_aside.stat().st_ino if put_aside.exists() else 0
            for _ in range(20):
                name = f"test-{secrets.token_hex(6)}"
                asked.append(name)
                headers = {"X-Request-Id": name}
                requests.get(f"{running.url}/nothing", headers=headers, timeout=20)
            aside += put_aside.exists() and put_aside.stat().st_ino != before
            for file in (put_aside, log):
                if file.exists():
                    for line in file.read_text().splitlines():
                        lines[line] = json.loads(line).get("request_id")
            assert time.monotonic() < end
    finally:
        assert running.stop() == 0
    for file in (put_aside, log):
        for line in file.read_text().splitlines():
            lines[line] = json.loads(line).get("request_id")
        assert file.stat().st_mode & 0o777 == 0o600
    found = [name for name in lines.values() if name is not None and name.startswith("test-")]
    assert sorted(found) == sorted(asked)

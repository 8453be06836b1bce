"""A disk fills up under load: 503 in time, nothing acknowledged is lost, and it recovers."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from cluster.local.cluster import LocalCluster
from tests.helpers.api import PASSWORD, free_port, make_person

pytestmark = [pytest.mark.long, pytest.mark.timeout(500)]

MEBIBYTE = 2**20
DISK = 420  # MiB
HANGS = 60.0
"""Seconds; several times the deadline, for a machine that has other things to do."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("needs root, to mount a disk")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", folder], check=False
    )
    if made.returncode != 0:
        pytest.skip("may not mount a disk here")
    yield folder
    subprocess.run([umount, "--lazy", folder], check=True)


@pytest.fixture
def local(disk: Path) -> Iterator[LocalCluster]:
    cluster = LocalCluster(disk / "state")
    cluster.up(shards=1, members=3, config_servers=1, routers=1)
    yield cluster
    api(cluster, "down")
    cluster.down(purge=True)


def api(cluster: LocalCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments, "--state", str(cluster.state.folder)],
        env={**os.environ, "SHARDSTACK_REGISTER_RATE_ADDRESS": "1000000/minute"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


class Consumer:
    """Creates, reads and uploads without end."""

    def __init__(self, url: str) -> None:
        self.outcomes: Counter[tuple[str, int]] = Counter()
        self.made: list[str] = []
        self._url = url
        self._over = threading.Event()
        person = make_person()
        answer = requests.post(f"{url}/api/v1/auth/signup", json=person, timeout=HANGS)
        self._me = url + answer.headers["Location"]
        body = {"email": person["email"], "password": PASSWORD}
        tokens = requests.post(f"{url}/api/v1/auth/login", json=body, timeout=HANGS).json()
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        asks = {"create": self._create, "read": self._read, "upload": self._upload}
        self._threads = [
            threading.Thread(target=self._run, args=(name, ask)) for name, ask in asks.items()
        ]

    def __enter__(self) -> Consumer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        print(dict(self.outcomes))  # noqa: T201 - the figures, shown by -s and on failure

    def _run(self, name: str, ask: Callable[[], requests.Response]) -> None:
        while not self._over.wait(0.05):
            try:
                answer = ask()
            except requests.RequestException:
                self.outcomes[name, 0] += 1  # no answer
                continue
            self.outcomes[name, answer.status_code] += 1
            if answer.status_code == 503 and "Retry-After" not in answer.headers:
                self.outcomes[name, -503] += 1

    def _create(self) -> requests.Response:
        url, body = f"{self._url}/api/v1/projects", {"name": "P"}
        answer = requests.post(url, json=body, headers=self.headers, timeout=HANGS)
        if answer.status_code == 201:
            self.made.append(self._url + answer.headers["Location"])
        return answer

    def _read(self) -> requests.Response:
        return requests.get(self._me, headers=self.headers, timeout=HANGS)

    def _upload(self) -> requests.Response:
        name = secrets.token_hex(5)
        fields = {"first_name": "A", "last_name": "L", "email": f"{name}@example.com"}
        content = b"%PDF-1.4\n" + os.urandom(MEBIBYTE)
        files = {"resume": ("cv.pdf", content, "application/pdf")}
        url = f"{self._url}/api/v1/leads"
        return requests.post(url, data=fields, files=files, timeout=HANGS)


def wait(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_full_disk(local: LocalCluster, disk: Path) -> None:
    port = str(free_port())
    assert api(local, "up", "--samples", "5", "--port", port).returncode == 0
    url = f"http://127.0.0.1:{port}"
    with Consumer(url) as consumer:
        wait(lambda: consumer.outcomes["create", 201] > 20)
        ballast = disk / "ballast"
        with ballast.open("wb") as file, suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(MEBIBYTE))
        wait(lambda: not any(n.pid for n in local.nodes() if n.kind == "shard"), 200)
        wait(lambda: requests.get(f"{url}/readyz", timeout=HANGS).status_code == 503)
        wait(lambda: all(consumer.outcomes[name, 503] for name in ("create", "read", "upload")))
        status = local.status()
        assert not status.healthy
        assert any("is full" in problem and "`up`" in problem for problem in status.problems)

        ballast.unlink()
        local.up()
        before = consumer.outcomes.copy()
        for name, code in (("create", 201), ("read", 200), ("upload", 201)):
            wait(lambda key=(name, code): consumer.outcomes[key] > before[key] + 3)  # type: ignore[misc]
    assert {code for _, code in consumer.outcomes} <= {200, 201, 503}
    assert json.loads(api(local, "status", "--json").stdout)["ready"]
    for made in consumer.made:
        assert requests.get(made, headers=consumer.headers, timeout=HANGS).status_code == 200

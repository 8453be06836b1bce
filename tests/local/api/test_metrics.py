"""/metrics: numbers of all workers together, for those who may see them."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

TOKEN = "a-token-for-scrapers-only-7f1c"
ME = ('route="/api/v1/auth/me"', 'method="GET"', 'status="4xx"')


@pytest.fixture(scope="module")
def scraped(
    environment: dict[str, str], server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """A server of two workers with a token for its metrics."""
    more = {"SHARDSTACK_WORKERS": "2", "SHARDSTACK_METRICS_TOKEN": TOKEN}
    running = type(server)({**environment, **more}, tmp_path_factory.mktemp("scraped") / "log")
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


def scrape(running: Any) -> str:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    answer = requests.get(f"{running.url}/metrics", headers=bearer, timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.text


def value(text: str, name: str, *labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    lines = [line for line in text.splitlines() if re.match(rf"{name}[{{ ]", line)]
    return sum(float(s.rpartition(" ")[2]) for s in lines if all(label in s for label in labels))


def workers(text: str) -> set[int]:
    return {int(pid) for pid in re.findall(r'shardstack_worker_info{[^}]*pid="(\d+)"', text)}


def both_workers(running: Any) -> set[int]:
    end = time.monotonic() + 10
    while len(found := workers(scrape(running))) != 2:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def count(running: Any) -> float:
    return value(scrape(running), "shardstack_request_duration_seconds_count", *ME)


def test_numbers_add_up_over_workers_and_survive_one(scraped: Any) -> None:
    def ask(_number: int) -> None:  # a connection of its own each, so that both workers get some
        answer = requests.get(f"{scraped.url}/api/v1/auth/me", timeout=10)
        assert answer.status_code == 401

    before, old = count(scraped), both_workers(scraped)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(60)))
    assert count(scraped) == before + 60

    victim = min(old)
    os.kill(victim, signal.SIGKILL)
    end = time.monotonic() + 10
    while victim in workers(scrape(scraped)):
        assert time.monotonic() < end
        time.sleep(0.05)
    both_workers(scraped)
    assert count(scraped) == before + 60
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(10)))
    assert count(scraped) == before + 70
    # Of all those only the scrape itself is still at work; the killed worker's are forgotten.
    assert value(scrape(scraped), "shardstack_requests_in_flight") == 1


def test_what_the_database_cost(scraped: Any, another: Any) -> None:
    text = scrape(scraped)
    before = {
        name: value(text, f"shardstack_{name}")
        for name in ("database_duration_seconds_count", "database_calls_total",
                     "claim_conflicts_total", "database_retries_total", "throttled_total")
    }  # fmt: skip
    person = another()
    for status in (201, 409):
        answer = requests.post(f"{scraped.url}/api/v1/auth/signup", json=person, timeout=10)
        assert answer.status_code == status
    text = scrape(scraped)
    grown = {name: value(text, f"shardstack_{name}") - old for name, old in before.items()}
    assert grown["database_duration_seconds_count"] == 2
    assert grown["database_calls_total"] >= 3
    assert grown["claim_conflicts_total"] >= 1
    assert grown["throttled_total"] == 0


def test_the_labels_are_few(scraped: Any) -> None:
    """What somebody outside makes up does not become a label."""
    for path in ("/madeup", "/api/v1/users/0123/madeup"):
        requests.request("MADEUP", f"{scraped.url}{path}", timeout=10)
    text = scrape(scraped)
    assert "madeup" not in text.lower()
    labels = ('route="none"', 'method="other"', 'status="4xx"')
    assert value(text, "shardstack_request_duration_seconds_count", *labels) >= 2


@pytest.mark.parametrize("bearer", [None, "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "é", TOKEN])
def test_strangers_see_nothing(scraped: Any, bearer: str | None) -> None:
    headers = {} if bearer is None else {"Authorization": bearer.encode()}
    answer = requests.get(f"{scraped.url}/metrics", headers=headers, timeout=10)
    assert answer.status_code == 401


def test_users_may_not_and_administrators_may(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    assert client.get("/metrics", headers=ada["headers"]).status_code == 403
    assert "shardstack_worker_info" in client.get("/metrics", headers=admin).text
    # Without the setting no bearer token opens it, not even the empty one.
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401


@pytest.mark.long
def test_the_files_are_private_and_leave_with_the_server(
    environment: dict[str, str], server: Any, tmp_path: Path
) -> None:
    running = type(server)(environment, tmp_path / "log")
    running.wait_ready()
    used = Path(f"/proc/{running.process.pid}/fd").iterdir()
    (lock,) = {fd.readlink() for fd in used if "shardstack-metrics-" in str(fd.readlink())}
    assert lock.parent.stat().st_mode & 0o777 == 0o700
    assert running.stop() == 0
    assert not lock.parent.exists()

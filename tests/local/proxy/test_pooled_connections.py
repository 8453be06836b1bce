"""Caddy keeps connections to the replicas: an early answer on one costs nobody the next request."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterator

import pytest
import requests

from tests.helpers.caddy import Caddy

pytestmark = [pytest.mark.long, pytest.mark.core]

ROUNDS = 6
CONSUMERS = 8
LARGE = b"x" * 70_000  # more than a body may have, less than Caddy keeps
LARGER = b"x" * 400_000
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=x"}

Request = tuple[str, str, dict[str, str], bytes, int]

EARLY: list[Request] = [
    ("POST", "/api/v1/auth/login", JSON, LARGE, 413),
    ("POST", "/api/v1/auth/login", JSON, LARGER, 413),
    ("POST", "/api/v1/leads", FORM, b"x" * 12_000_000, 413),
    ("POST", "/api/v1/leads", FORM, LARGER, 400),
    ("POST", "/api/v1/projects", JSON, b"{}", 401),
    ("PATCH", "/api/v1/projects/5f43a1d2c7e0a1b2c3d4e5f6", JSON, b" " * 60_000, 401),
    ("POST", "/api/v1/users/import", {"Content-Type": "application/x-ndjson"}, LARGER, 401),
    ("POST", "/api/v1/nowhere", JSON, LARGE, 413),
    ("POST", "/api/v1/nowhere", JSON, b" " * 60_000, 404),
    ("POST", "/api/v1/nowhere", FORM, LARGER, 413),
    ("POST", "/healthz", JSON, b" " * 60_000, 405),
    ("POST", "/api/v1/auth/login", {"Content-Type": "text/plain"}, b" " * 60_000, 415),
    ("POST", "/api/v1/auth/login", JSON, b"{}", 422),
]


def pieces(body: bytes) -> Iterator[bytes]:
    """It, for `Transfer-Encoding: chunked`."""
    for at in range(0, len(body), 16_384):
        yield body[at : at + 16_384]


def test_early_answers_cost_nobody_a_request(caddy: Caddy) -> None:
    found: collections.Counter[tuple[str, int, int]] = collections.Counter()
    lock, over = threading.Lock(), threading.Event()

    def ask(session: requests.Session, request: Request, chunked: bool = False) -> None:
        method, path, headers, body, expected = request
        data = pieces(body) if chunked else body
        url, status = caddy.url + path, expected
        try:
            answer = session.request(method, url, headers=headers, data=data, timeout=60)
            status = answer.status_code
        except requests.ConnectionError:
            # Caddy reads no more than so much after its answer; this library then misses it.
            assert len(body) > 256 * 1024
        with lock:
            found[f"{method} {path} {len(body)}", expected, status] += 1

    def consume() -> None:
        with requests.Session() as session:
            session.verify, session.trust_env = str(caddy.ca), False
            while not over.is_set():
                ask(session, ("GET", "/healthz", {}, b"", 200))
                ask(session, ("POST", "/api/v1/auth/signup", JSON, b"{}", 422))

    threads = [threading.Thread(target=consume) for _ in range(CONSUMERS)]
    for thread in threads:
        thread.start()
    try:
        for number in range(ROUNDS):
            for request in EARLY:
                with requests.Session() as session:
                    session.verify, session.trust_env = str(caddy.ca), False
                    ask(session, request, chunked=number % 2 == 1)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert found["GET /healthz 0", 200, 200] > ROUNDS
    wrong = {key: count for key, count in found.items() if key[1] != key[2]}
    assert not wrong

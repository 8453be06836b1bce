"""Clients that hold a connection and give or take next to nothing keep nobody else waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from api.store import Store
from tests.helpers.api import RunningServer
from tests.local.api.wire import PATIENCE, Wire, post

pytestmark = [pytest.mark.long, pytest.mark.core]

HELD = 150  # sockets of each kind; a server has some 20 threads
FORM = "Content-Type: multipart/form-data; boundary=x"
SCRIPT = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"

KINDS: dict[str, bytes] = {
    "silent": b"",
    "unfinished header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: ",
    "unfinished JSON": post("/api/v1/auth/login", b"{", length=60_000),
    "unfinished chunk": post("/api/v1/auth/login", b"ff\r\n{", "Transfer-Encoding: chunked",
                             length=-1),
    "unfinished form": post("/api/v1/leads", b"--x\r\n", FORM, length=5_000_000),
    "unread answers": SCRIPT * 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def serve(
    environment: dict[str, str], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers over the shared cluster; the tests here starve them."""
    assert store
    with ExitStack() as stack:

        def start(**settings: object) -> RunningServer:
            given = {f"SHARDSTACK_{name.upper()}": str(value) for name, value in settings.items()}
            folder = tmp_path_factory.mktemp("starved")
            running = RunningServer({**environment, **given}, folder / "log")
            stack.callback(running.stop)
            running.wait_ready()
            return running

        yield start


@pytest.fixture(scope="module")
def patient(serve: Callable[..., RunningServer]) -> RunningServer:
    """A server that would hold such clients for longer than a test takes."""
    return serve(client_timeout=600, minimum_rate=1)


@pytest.fixture(scope="module")
def strict(serve: Callable[..., RunningServer]) -> RunningServer:
    """A server that loses its patience soon."""
    return serve(client_timeout=0.5, minimum_rate=10_000)


@pytest.mark.parametrize("kind", KINDS)
def test_others_are_served_meanwhile(
    patient: RunningServer, admin: dict[str, str], kind: str
) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(Wire(patient.port, receive=4096)) for _ in range(HELD)]
        for one in held:
            one.send(KINDS[kind])
        for path in ("/healthz", "/readyz", "/api/v1/users?limit=1", "/api/v1/auth/me"):
            answer = requests.get(patient.url + path, headers=admin, timeout=PATIENCE)
            assert answer.status_code == 200, (path, answer.text)
        # Forms wait in files, of which one client gets a few.
        assert sum(one.open for one in held) >= (10 if "form" in kind else HELD)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_cut_off(strict: RunningServer, kind: str) -> None:
    with Wire(strict.port, receive=4096) as wire:
        wire.send(KINDS[kind])
        end = time.monotonic() + PATIENCE
        while wire.open:
            assert time.monotonic() < end
            time.sleep(0.05)
        if "header" in kind or "form" in kind:
            assert wire.answer().status == 408


def test_whoever_is_slow_but_steady_is_served(strict: RunningServer) -> None:
    """In pieces, at some 10 times the least rate, over several of its spans."""
    body = b'{"email":"nobody@example.com","password":"long-enough-1"}'.ljust(60_000)
    with Wire(strict.port) as wire:
        wire.send(post("/api/v1/auth/login", b"", length=len(body)))
        for at in range(0, len(body), 3_000):
            wire.send(body[at : at + 3_000])
            time.sleep(0.03)
        assert wire.answer().status == 401


def test_the_longest_idle_makes_room(serve: Callable[..., RunningServer]) -> None:
    few = serve(workers=1, connections_per_address=16, client_timeout=600)
    with ExitStack() as stack:
        first = [stack.enter_context(Wire(few.port)) for _ in range(30)]
        assert requests.get(f"{few.url}/healthz", timeout=PATIENCE).status_code == 200
        end = time.monotonic() + PATIENCE
        while sum(one.open for one in first) > 16:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert not first[0].open


def test_an_overloaded_server_says_so(serve: Callable[..., RunningServer]) -> None:
    """One thread, and log-ins, which are meant to cost time: who cannot have it is told at once."""
    one = serve(workers=1, threads=1, queue_wait=0.2)
    body = b'{"email":"nobody@example.com","password":"long-enough-1"}'
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(one.port)) for _ in range(60)]
        for wire in wires:
            wire.send(post("/api/v1/auth/login", body))
        assert requests.get(f"{one.url}/healthz", timeout=PATIENCE).status_code == 200
        answers = [wire.answer() for wire in wires]
        refused = [answer for answer in answers if answer.status == 503]
        assert refused
        assert {answer.status for answer in answers} <= {401, 503}
        for answer in refused:
            assert answer.headers["retry-after"] == "1"
            assert answer.json["type"] == "urn:shardstack:problem:overloaded"
        # They may try again on the same connection.
        again = wires[answers.index(refused[-1])]
        again.send(post("/api/v1/auth/login", body))
        assert again.answer().status in (401, 503)

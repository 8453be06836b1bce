"""Clients that give or take next to nothing are cut off by Caddy, and keep nobody waiting."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
import requests

from tests.helpers.caddy import CADDYFILE, Caddy, Replica, upstreams
from tests.local.api.wire import PATIENCE, Wire, chunk, chunked, post

pytestmark = pytest.mark.long

HELD = 100  # sockets of each kind
UNREAD = 20  # of those that take no answers, for each of which the kernel keeps some megabytes
FORM = "Content-Type: Multipart/Form-Data; boundary=x"  # media types know no case
SCRIPT = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
LEADS, LOGIN = "/api/v1/leads", "/api/v1/auth/login"


class Client(Wire):
    """A client of Caddy."""

    def __init__(self, caddy: Caddy, receive: int | None = None) -> None:
        super().__init__(caddy.port, receive, caddy.ca)

    def send(self, data: bytes, *, end: bool = False) -> Wire:
        """The same, to the host that Caddy serves."""
        return super().send(data.replace(b"Host: x\r\n", b"Host: localhost\r\n"), end=end)


KINDS: dict[str, bytes | None] = {
    "no handshake": None,
    "silent": b"",
    "unfinished header": b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: ",
    "unfinished JSON": post(LOGIN, b"{", length=60_000),
    "unfinished chunk": chunked(LOGIN, b"ff\r\n{"),
    "unfinished form": post(LEADS, b"--x\r\n", FORM, length=5_000_000),
    "unfinished small form": post(LEADS, b"--x\r\n", FORM, length=50_000),
    "unread answers": SCRIPT * 20,
}


@pytest.fixture(scope="module")
def starved(
    binary: str, replicas: list[Replica], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Caddy]:
    """A Caddy of our own, which does not wait for a replica where there is none."""
    folder = tmp_path_factory.mktemp("starved-caddy")
    changed = CADDYFILE.read_text().replace("lb_try_duration 15s", "lb_try_duration 0s")
    (folder / "Caddyfile").write_text(changed)
    running = Caddy(binary, folder, upstreams(replicas), folder / "Caddyfile")
    try:
        running.wait_ready()
        yield running
    finally:
        running.process.kill()
        running.process.wait(10)


def connect(caddy: Caddy, data: bytes | None) -> Wire:
    if data is None:
        return Wire(caddy.port)
    return Client(caddy, 4096 if SCRIPT in data else None).send(data)


@pytest.mark.timeout(300)
def test_others_are_served_meanwhile_and_they_are_cut_off(starved: Caddy) -> None:
    """All kinds at once, trickling, so that an idle time-out alone would not end them."""
    with ExitStack() as stack, requests.Session() as session:
        session.verify, session.trust_env = str(starved.ca), False
        held = {
            kind: [
                stack.enter_context(connect(starved, data))
                for _ in range(UNREAD if "unread" in kind else HELD)
            ]
            for kind, data in KINDS.items()
        }
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/api/v1/auth/me", 401)):
            assert session.get(starved.url + path, timeout=PATIENCE).status_code == status
        end = time.monotonic() + 3 * PATIENCE
        while left := {kind for kind, wires in held.items() if any(wire.open for wire in wires)}:
            assert time.monotonic() < end, left
            if left == {"unread answers"} and connections(starved) < UNREAD:
                break  # they would notice once they read
            for kind in left:
                if "unfinished" in kind:
                    trickle(held[kind])
            time.sleep(0.5)
        for wire in held["unfinished form"][:3]:
            assert wire.answer().status == 408


def connections(caddy: Caddy) -> int:
    """How many clients it has."""
    found = psutil.Process(caddy.process.pid).net_connections("tcp")
    return sum(one.status == "ESTABLISHED" and one.laddr.port == caddy.port for one in found)


def trickle(wires: list[Wire]) -> None:
    """Another byte from each that is open."""
    for wire in filter(lambda one: one.open, wires):
        with suppress(OSError):  # it has just been cut off
            wire.send(b" ")


def test_whoever_is_slow_but_steady_is_served(starved: Caddy) -> None:
    """A form that takes longer than a JSON body may, at some four times the least rate."""
    piece = b"x" * 2_000
    with Client(starved) as wire:
        wire.send(post(LEADS, b"", FORM, length=50 * len(piece)))
        for _ in range(50):
            wire.send(piece)
            time.sleep(0.5)
        assert wire.answer().status == 400  # it is no form, which is said when it is whole


BROKEN_OFF = {
    "a form": post(LEADS, b"--x\r\n", FORM, length=5_000_000),
    "a bad chunk of a form": chunked(LEADS, chunk(b"--x\r\n") + b"zz\r\n", FORM),
    "a bad chunk": chunked(LOGIN, b"zz\r\n"),
    "a large bad body": chunked(LOGIN, chunk(b" " * 150_000) + b"zz\r\n"),
    "a GET's body": chunked(LOGIN, chunk(b" " * 150_000) + b"zz\r\n").replace(b"POST", b"GET", 1),
}


@pytest.mark.core
@pytest.mark.parametrize("kind", BROKEN_OFF)
def test_a_body_that_its_client_breaks_off_is_no_failure_of_a_replica(
    starved: Caddy, kind: str
) -> None:
    with requests.Session() as session:
        session.verify, session.trust_env = str(starved.ca), False
        for _ in range(8):
            with Client(starved) as wire:
                wire.send(BROKEN_OFF[kind])
                assert session.get(f"{starved.url}/healthz", timeout=PATIENCE).status_code == 200
            assert session.get(f"{starved.url}/healthz", timeout=PATIENCE).status_code == 200


@pytest.fixture
def patient(replicas: list[Replica], tmp_path: Path) -> Iterator[Replica]:
    """A replica that waits for bodies longer than it takes to begin many, on any machine."""
    waiting = {"SHARDSTACK_CLIENT_TIMEOUT": "60"}
    made = Replica({**replicas[0].environment, **waiting}, tmp_path / "log")
    yield made
    made.server.stop()


@pytest.mark.core
def test_one_client_cannot_have_all_the_room_for_large_bodies(patient: Replica) -> None:
    """The API counts by whom the proxy speaks for, not by the proxy's own address."""
    port = patient.port
    large = post(LEADS, b"--x\r\n", FORM, "X-Forwarded-For: 203.0.113.1", length=5_000_000)
    other = post(LEADS, b"x" * 100_000, FORM, "X-Forwarded-For: 203.0.113.2")
    with ExitStack() as stack:
        greedy = [stack.enter_context(Wire(port)).send(large) for _ in range(80)]
        with Wire(port) as wire:
            assert wire.send(other).answer().status == 400  # it is no form
        # Each worker has room of its own, and which one gets a connection is the kernel's choice.
        answered, _, _ = select.select([one.socket for one in greedy], [], [], PATIENCE)
        assert answered, "some are told at once, and the others waited for"
        refused = [one for one in greedy if one.socket in answered]
        assert {one.answer().status for one in refused} == {503}

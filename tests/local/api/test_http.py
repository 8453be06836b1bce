"""HTTP/1.1 as it stands on the wire: RFC 9112's rules, answers in our one shape, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import requests
from flask.testing import FlaskClient

from api.store import Store
from api.web import bulk
from tests.helpers.api import PASSWORD, RunningServer
from tests.local.api.wire import PATIENCE, Answer, Wire, chunk, chunked, post

LOG_IN = "/api/v1/auth/login"
SIGN_UP = "/api/v1/auth/signup"
LIMIT = 64 * 1024
PAGE = "https://app.example"


@pytest.fixture(scope="module")
def port(
    environment: dict[str, str], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """A server that pages of PAGE may use."""
    assert store
    running = RunningServer(
        {**environment, "SHARDSTACK_CORS_ORIGINS": PAGE}, tmp_path_factory.mktemp("http") / "log"
    )
    try:
        running.wait_ready()
        yield running.port
    finally:
        running.stop()


def get(path: str, *fields: str, version: str = "HTTP/1.1", host: str | None = "x") -> bytes:
    lines = [f"GET {path} {version}", *([] if host is None else [f"Host: {host}"]), *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def refused(answer: Answer, status: int) -> None:
    """What holds for every answer that the server makes itself."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["status"] == status
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert b"Traceback" not in answer.body
    assert answer.headers["connection"] == "close"


MALFORMED: dict[str, tuple[bytes, int]] = {
    "chunk size 0x29": (chunked(LOG_IN, b"0x29\r\n"), 400),
    "chunk size +29": (chunked(LOG_IN, b"+29\r\n"), 400),
    "chunk size 2_9": (chunked(LOG_IN, b"2_9\r\n"), 400),
    "chunk size of spaces": (chunked(LOG_IN, b" 5\r\n"), 400),
    "chunk size without end": (chunked(LOG_IN, b"0" * 9000), 400),
    "LF in a chunk extension": (chunked(LOG_IN, b"5;a=\n\r\nhello\r\n"), 400),
    "chunk with a bad end": (chunked(LOG_IN, b"5\r\nhelloXX0\r\n\r\n"), 400),
    "trailer that frames": (chunked(LOG_IN, chunk(b"{}") + b"0\r\nContent-Length: 5\r\n\r\n"), 400),
    "trailer that is none": (chunked(LOG_IN, chunk(b"{}") + b"0\r\njunk\r\n\r\n"), 400),
    "trailers without end": (chunked(LOG_IN, chunk(b"{}") + b"0\r\n" + b"a: b\r\n" * 99), 431),
    "gzip, chunked": (post(LOG_IN, b"", "Transfer-Encoding: gzip, chunked", length=-1), 501),
    "unknown coding": (post(LOG_IN, b"", "Transfer-Encoding: xyz", length=-1), 501),
    "coding without chunked": (post(LOG_IN, b"", "Transfer-Encoding: gzip", length=-1), 400),
    "both lengths": (chunked(LOG_IN, b"", "Content-Length: 5"), 400),
    "two lengths": (post(LOG_IN, b"hello", "Content-Length: 5"), 400),
    "length of letters": (post(LOG_IN, b"", "Content-Length: 0x5", length=-1), 400),
    "negative length": (post(LOG_IN, b"", length=-5), 400),
    "length of 5,000 digits": (post(LOG_IN, b"", f"Content-Length: {'9' * 5000}", length=-1), 400),
    "no host": (get("/healthz", host=None), 400),
    "empty host": (get("/healthz", host=""), 400),
    "host with a space": (get("/healthz", host="a b"), 400),
    "host with a path": (get("/healthz", host="a/b"), 400),
    "host with a user": (get("/healthz", host="a@b"), 400),
    "two hosts": (get("/healthz", "Host: x"), 400),
    "malformed host in HTTP/1.0": (get("/healthz", version="HTTP/1.0", host="a b"), 400),
    "HTTP/1.9": (get("/healthz", version="HTTP/1.9"), 505),
    "HTTP/2.0": (get("/healthz", version="HTTP/2.0"), 505),
    "HTTP/1.11": (get("/healthz", version="HTTP/1.11"), 400),
    "no version": (b"GET /healthz\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "bare LF": (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    "folded field": (get("/healthz", "A: b", " c"), 400),
    "space before the colon": (get("/healthz", "A : b"), 400),
    "NUL in a field": (get("/healthz", "A: \0"), 400),
    "bad method": (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "target that is none": (get("http://[/healthz"), 400),
    "unknown expectation": (get("/healthz", "Expect: magic"), 417),
    "long address": (get("/healthz?" + "a" * 5000), 414),
    "endless address": (get("/healthz?" + "a" * 50_000), 414),
    "large field": (get("/healthz", "A: " + "a" * 9000), 431),
    "many fields": (get("/healthz", *["A: a"] * 60), 431),
    "body above the limit": (post(LOG_IN, b"", length=LIMIT + 1), 413),
    "chunks above the limit": (chunked(LOG_IN, chunk(b" " * (LIMIT + 1))), 413),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(port: int, name: str) -> None:
    request, status = MALFORMED[name]
    with Wire(port) as wire:
        wire.send(request)
        refused(wire.answer(), status)
        assert wire.ended() == b""


@pytest.mark.parametrize("name", ["long address", "large field", "no host", "body above the limit"])
def test_a_page_can_read_what_the_server_answers(port: int, name: str) -> None:
    request, status = MALFORMED[name]
    line, rest = request.split(b"\r\n", 1)
    with Wire(port) as wire:
        wire.send(line + f"\r\nOrigin: {PAGE}\r\n".encode() + rest)
        answer = wire.answer()
    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    with Wire(port) as wire:
        wire.send(line + b"\r\nOrigin: https://other.example\r\n" + rest)
        assert "access-control-allow-origin" not in wire.answer().headers


def test_what_is_no_fault(port: int) -> None:
    for request in (
        get("/healthz", host="[::1]:80"),
        get("/healthz", host="xn--bcher-kva.example:8443"),
        get("http://x/healthz"),
        get("/healthz", version="HTTP/1.0", host=None),
        b"\r\n" + get("/healthz"),
        get("/healthz", "Expect: 100-continue"),
    ):
        with Wire(port) as wire:
            answer = wire.send(request).answer()
            assert (answer.status, answer.json) == (200, {"status": "ok"})


# RFC 9112 8: an incomplete message is never acted on.


def halves(path: str, body: bytes, *fields: str) -> list[bytes]:
    """The same body, whole JSON, in requests that promise more."""
    return [
        post(path, body, *fields, length=len(body) + 10),
        chunked(path, chunk(body), *fields),
        chunked(path, chunk(body) + b"0\r\n", *fields),
        chunked(path, b"%x\r\n%s" % (len(body) + 1, body), *fields),
    ]


def test_an_incomplete_creation(port: int, person: dict[str, str], store: Store) -> None:
    for request in halves(SIGN_UP, msgspec.json.encode(person)):
        with Wire(port) as wire:
            refused(wire.send(request, end=True).answer(), 400)
    assert store.database["users"].find_one({"email": person["email"]}) is None
    with Wire(port) as wire:  # and it has claimed nothing
        wire.send(post(SIGN_UP, msgspec.json.encode(person)), end=True)
        assert wire.answer().status == 201


def test_an_incomplete_change(port: int, ada: dict[str, Any]) -> None:
    bearer = f"Authorization: {ada['headers']['Authorization']}"
    for request in halves(ada["url"], b'{"name":"Eve"}', bearer):
        with Wire(port) as wire:
            refused(wire.send(request.replace(b"POST", b"PATCH", 1), end=True).answer(), 400)
    with Wire(port) as wire:
        wire.send(get(ada["url"], bearer))
        assert wire.answer().json["name"] == ada["user"]["name"]


def test_an_incomplete_log_in(port: int, ada: dict[str, Any]) -> None:
    body = msgspec.json.encode({"email": ada["person"]["email"], "password": PASSWORD})
    for request in halves(LOG_IN, body):
        with Wire(port) as wire:
            refused(wire.send(request, end=True).answer(), 400)


def test_an_incomplete_import(
    port: int, admin: dict[str, str], another: Callable[[], dict[str, str]]
) -> None:
    """Nothing of the batch that was being read; of earlier ones, the answer gives the count."""
    person = another()
    body = msgspec.json.encode(person) + b"\n" + msgspec.json.encode(another())[:-5]
    fields = (f"Authorization: {admin['Authorization']}", f"Content-Type: {bulk.MEDIA}")
    with Wire(port) as wire:
        wire.send(post("/api/v1/users/import", body, *fields, length=len(body) + 100), end=True)
        answer = wire.answer()
    assert answer.status == 400
    assert answer.json["detail"] == "The body ended before it was complete. 0 were created before."


def test_an_incomplete_form(port: int, store: Store) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nAda\r\n--x--\r\n'
    before = store.database["leads"].count_documents({})
    with Wire(port) as wire:
        fields = "Content-Type: multipart/form-data; boundary=x"
        wire.send(post("/api/v1/leads", form, fields, length=len(form) + 2), end=True)
        refused(wire.answer(), 400)
    assert store.database["leads"].count_documents({}) == before


# One limit for both ways of framing.


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 401), (LIMIT + 1, 413)])
def test_the_limit_is_one(port: int, size: int, status: int) -> None:
    body = b'{"email":"nobody@example.com","password":"long-enough-1"}'.ljust(size)
    for request in (
        post(LOG_IN, body),
        chunked(LOG_IN, chunk(body) + b"0\r\n\r\n"),
        chunked(LOG_IN, b"".join(chunk(body[at : at + 999]) for at in range(0, size, 999))
                + b"0\r\nA: b\r\n\r\n"),
    ):  # fmt: skip
        with Wire(port) as wire:
            assert wire.send(request).answer().status == status


# The next request on a connection is answered, or the client knows that the connection ends.

EARLY: dict[str, tuple[bytes, int]] = {
    "401": (post("/api/v1/users", b"x" * 60_000), 401),
    "401, chunks": (chunked("/api/v1/users", chunk(b"x" * 60_000) + b"0\r\n\r\n"), 401),
    "404": (post("/nothing", b"x" * 60_000), 404),
    "405": (post("/healthz", b"x" * 60_000), 405),
    "415": (post(LOG_IN, b"x" * 60_000, "Content-Type: text/plain"), 415),
    "422": (post(LOG_IN, b"{}".ljust(60_000)), 422),
    "413": (post(LOG_IN, b"x" * 70_000), 413),
    "413, chunks": (chunked(LOG_IN, chunk(b"x" * 70_000) + b"0\r\n\r\n"), 413),
    "413, much": (post(LOG_IN, b"x" * 900_000), 413),
    "401, streamed": (post("/api/v1/users/import", b"x" * 900_000), 401),
    "401, streamed chunks": (
        chunked("/api/v1/users/import", chunk(b"x" * 900_000) + b"0\r\n\r\n"), 401,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EARLY)
def test_nobody_s_next_request_is_lost(port: int, name: str) -> None:
    request, status = EARLY[name]
    with Wire(port) as wire:
        wire.send(request)
        answer = wire.answer()
        assert answer.status == status
        if answer.headers["connection"] == "close":
            assert wire.ended() == b""
        else:
            assert wire.send(get("/healthz")).answer().status == 200


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with Wire(port) as wire:
        body = b'{"email":"nobody@example.com","password":"long-enough-1"}'
        wire.send((get("/healthz") + post(LOG_IN, body) + get("/nothing")) * 20, end=True)
        found = [wire.answer().status for _ in range(60)]
        assert found == [200, 401, 404] * 20


def test_a_client_that_waits_to_be_asked(port: int, admin: dict[str, str]) -> None:
    body = b'{"email":"nobody@example.com","password":"long-enough-1"}'
    expect = "Expect: 100-continue"
    with Wire(port) as wire:
        wire.send(post(LOG_IN, b"", expect, length=len(body)))
        assert wire.answer().status == 100
        assert wire.send(body).answer().status == 401
        # Who will be refused need not send it, nor does who may not import.
        wire.send(post(LOG_IN, b"", expect, length=LIMIT + 1))
        refused(wire.answer(), 413)
    media = f"Content-Type: {bulk.MEDIA}"
    with Wire(port) as wire:
        wire.send(post("/api/v1/users/import", b"", expect, media, length=5))
        assert wire.answer().status == 401
    with Wire(port) as wire:
        bearer = f"Authorization: {admin['Authorization']}"
        wire.send(post("/api/v1/users/import", b"", expect, media, bearer, length=3))
        assert wire.answer().status == 100
        assert wire.send(b"{}\n").answer(body=False).status == 200


def test_nobody_but_trusted_proxies_names_paths_or_schemes(port: int) -> None:
    for fields in (
        ["SCRIPT_NAME: /evil"],
        ["SCRIPT_NAME: /healthz"],
        ["PATH_INFO: /evil"],
        ["X-Forwarded-Proto: https", "X-Forwarded-Ssl: off", "X-Forwarded-Protocol: http"],
        ["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"],
    ):
        with Wire(port) as wire:
            answer = wire.send(get("/healthz", *fields)).answer()
            assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_head_has_no_body(port: int) -> None:
    with Wire(port) as wire:
        wire.send(get("/docs").replace(b"GET", b"HEAD") + get("/healthz"))
        head = wire.answer(body=False)
        assert (head.status, int(head.headers["content-length"]) > 0) == (200, True)
        assert wire.answer().json == {"status": "ok"}


def test_a_large_answer_is_whole(port: int, client: FlaskClient) -> None:
    path = "/docs/swagger-ui-bundle.js"
    assert (
        requests.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE).content
        == client.get(path, headers={"Accept-Encoding": "identity"}).data
    )

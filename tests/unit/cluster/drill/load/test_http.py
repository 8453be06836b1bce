"""What a consumer concludes from an answer of the API, or from none: told by a scripted server."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cluster.drill.history import Guarantee, Outcome, State
from cluster.drill.load.http import ApiError, ApiStore
from cluster.drill.load.workload import Effect

TOKENS = {"access_token": "a", "refresh_token": "r", "expires_in": 1800}
PROJECT = {"id": "1", "name": "g/1", "description": "x", "version": 1}
LOGIN = (200, TOKENS)

Script = list[tuple[int, dict[str, Any]] | None]


class Scripted(ThreadingHTTPServer):
    """Answers as told, in this order; None: closes the connection instead."""

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.asked: list[tuple[str, str, dict[str, str], str]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        told = self.server.script.pop(0)
        if told is None:
            self.close_connection = True
            return
        status, shown = told
        text = json.dumps(shown).encode() if shown else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if "version" in shown:
            self.send_header("ETag", f'"{shown["version"]}"')
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted([LOGIN]) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def store(scripted: Scripted) -> Iterator[ApiStore]:
    url = f"http://127.0.0.1:{scripted.server_address[1]}"
    with closing(ApiStore(url, {"g": ("a@example.org", "a password")})) as store:
        yield store


def project(*tokens: str) -> tuple[int, dict[str, Any]]:
    return 200, {**PROJECT, "description": " ".join(tokens), "version": len(tokens)}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((503, {"detail": "not known"}), Outcome.UNKNOWN),
        ((500, {"detail": "a bug"}), Outcome.UNKNOWN),
        (None, Outcome.UNKNOWN),
        ((422, {"detail": "refused"}), Outcome.FAILED),
        ((429, {"detail": "too many"}), Outcome.FAILED),
    ],
)
def test_what_an_insert_without_success_means(
    scripted: Scripted, store: ApiStore, answer: Any, outcome: Outcome
) -> None:
    scripted.script.append(answer)
    with pytest.raises(ApiError) as raised:
        store.insert("g/1", "x")
    assert store.outcome(raised.value) is outcome
    assert [asked[0] for asked in scripted.asked] == ["POST", "POST"], "it was sent once"


def test_an_error_before_the_write_was_sent_is_a_failure(
    scripted: Scripted, store: ApiStore
) -> None:
    scripted.script += [(201, PROJECT), (503, {"detail": "not known"})]
    assert store.insert("g/1", "x") == Effect(1, State(("x",), 1))
    with pytest.raises(ApiError) as raised:
        store.append("g/1", "y")
    assert store.outcome(raised.value) is Outcome.FAILED


def test_an_append_goes_on_until_nobody_was_quicker(scripted: Scripted, store: ApiStore) -> None:
    scripted.script += [(201, PROJECT), project("x"), (412, {"detail": "changed"})]
    scripted.script += [project("x", "other"), project("x", "other", "y")]
    store.insert("g/1", "x")
    assert store.append("g/1", "y") == Effect(1, State(("x", "other", "y"), 3))
    assert [asked[2].get("If-Match") for asked in scripted.asked[3::2]] == ['"1"', '"2"']


def test_a_412_for_a_change_that_took_effect_is_no_success(
    scripted: Scripted, store: ApiStore
) -> None:
    scripted.script += [(201, PROJECT), project("x"), (412, {"detail": "changed"})]
    scripted.script += [project("x", "y")]
    store.insert("g/1", "x")
    with pytest.raises(ApiError, match="took effect all the same"):
        store.append("g/1", "y")


def test_an_expired_token_is_renewed_and_the_request_sent_again(
    scripted: Scripted, store: ApiStore
) -> None:
    renewed = (200, {**TOKENS, "access_token": "b"})
    scripted.script += [(201, PROJECT), (401, {"detail": "expired"}), renewed, project("x")]
    store.insert("g/1", "x")
    assert store.read("g/1", store.guarantee).found == 1
    assert scripted.asked[-1][2]["Authorization"] == "Bearer b"
    assert scripted.asked[-2][1] == "/api/v1/auth/refresh"
    assert store.guarantee is Guarantee.LOCAL


def test_a_refused_refresh_leads_to_a_log_in(scripted: Scripted, store: ApiStore) -> None:
    scripted.script += [(201, PROJECT), (401, {}), (401, {"detail": "used before"})]
    scripted.script += [(200, {**TOKENS, "access_token": "b"}), project("x")]
    store.insert("g/1", "x")
    assert store.read("g/1", store.guarantee).found == 1
    assert scripted.asked[-2][1] == "/api/v1/auth/login"


def test_nobody_listening_is_a_failure() -> None:
    with closing(ApiStore("http://127.0.0.1:1", {"g": ("a@example.org", "p")})) as store:
        with pytest.raises(ApiError) as raised:
            store.insert("g/1", "x")
        assert store.outcome(raised.value) is Outcome.FAILED


def test_a_key_whose_insert_had_no_answer_is_looked_for_by_its_name(
    scripted: Scripted, store: ApiStore
) -> None:
    scripted.script += [None, (200, {"items": [PROJECT], "next": None}), project("x", "y")]
    with pytest.raises(ApiError):
        store.insert("g/1", "x")
    assert store.read("g/1", store.guarantee) == Effect(1, State(("x", "y"), 2))


def test_a_repeated_insert_has_the_same_key_and_body(scripted: Scripted, store: ApiStore) -> None:
    scripted.script += [None, (201, PROJECT), (410, {"detail": "deleted since"})]
    with pytest.raises(ApiError):
        store.insert("g/1", "x")
    assert store.insert("g/1", "x") == Effect(1, State(("x",), 1))
    assert store.insert("g/1", "x") == Effect(1), "it was made, whatever became of it"
    sent = {(asked[2]["Idempotency-Key"], asked[3]) for asked in scripted.asked[1:]}
    assert len(sent) == 1


def test_a_repeated_append_is_the_very_patch(scripted: Scripted, store: ApiStore) -> None:
    scripted.script += [(201, PROJECT), project("x"), None, project("x", "y", "z")]
    scripted.script += [(404, {"detail": "gone"})]
    store.insert("g/1", "x")
    with pytest.raises(ApiError):
        store.append("g/1", "y")
    assert store.append("g/1", "y") == Effect(1), "it tells of a later version"
    assert store.append("g/1", "y") == Effect(1), "it took effect before the project went"
    patches = [asked for asked in scripted.asked if asked[0] == "PATCH"]
    assert len(patches) == 3
    assert len({(p[2]["Idempotency-Key"], p[2]["If-Match"], p[3]) for p in patches}) == 1


def test_of_a_repeated_append_to_what_is_gone_nothing_is_known(
    scripted: Scripted, store: ApiStore
) -> None:
    scripted.script += [(201, PROJECT), project("x"), None, (404, {"detail": "gone"})]
    store.insert("g/1", "x")
    for _ in range(2):
        with pytest.raises(ApiError) as raised:
            store.append("g/1", "y")
        assert store.outcome(raised.value) is Outcome.UNKNOWN

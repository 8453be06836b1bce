"""No secret in any log line or answer, whatever happens to the request that brought it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

JSON = {"Content-Type": "application/json"}


class Marks:
    """Secrets that can be found again: each is marked, and kept."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def new(self, kind: str) -> str:
        self.made.append(f"Mk-{kind}-{secrets.token_hex(12)}")
        return self.made[-1]

    def found(self, text: str) -> list[str]:
        return [mark for mark in self.made if mark in text]


@pytest.fixture
def marks() -> Marks:
    return Marks()


@pytest.fixture
def logged(server: Any) -> Callable[[], str]:
    """All that the server has logged, the last request too."""

    def read() -> str:
        last = requests.get(f"{server.url}/nothing", timeout=10).headers["X-Request-Id"]
        end = time.monotonic() + 5
        while last not in (text := server.log.read_text()):
            assert time.monotonic() < end
            time.sleep(0.02)
        return str(text)

    return read


def operations(server: Any) -> list[tuple[str, str]]:
    """Every method and path there is."""
    paths = requests.get(f"{server.url}/api/v1/openapi.json", timeout=10).json()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item]


def spoiled(marks: Marks) -> list[dict[str, Any]]:
    """Requests full of secrets, none of which succeeds."""
    fields = ("password", "current_password", "new_password", "token", "national_id", "madeup")
    body = {name: marks.new(name) for name in fields}
    password = marks.new("password")
    return [
        {"headers": {"Authorization": f"Bearer {marks.new('bearer')}"}, "json": body},
        {"headers": {"Authorization": marks.new("scheme"), "X-Api-Key": marks.new("key")}},
        {
            "cookies": {
                "__Host-access_token": marks.new("access"),
                "__Secure-refresh_token": marks.new("refresh"),
            },
            "headers": {"X-CSRF-TOKEN": marks.new("csrf")},
            "json": {},
        },
        {"params": {"password": marks.new("query"), "access_token": marks.new("query")}},
        {"data": b'{"password": "' + password.encode(), "headers": JSON},
        {"data": {"password": marks.new("form")}},
        {
            "data": {"email": marks.new("part"), "password": marks.new("part")},
            "files": {"resume": (marks.new("name"), b"%PDF-1.7 " + marks.new("file").encode())},
        },
    ]


def test_refused_requests(server: Any, marks: Marks, logged: Callable[[], str]) -> None:
    """Every route, with every kind of wrong request."""
    for method, path in operations(server):
        address = server.url + path.replace("{", "").replace("}", "")
        for request in spoiled(marks):
            answer = requests.request(method, address, timeout=20, **request)
            assert answer.status_code < 500, (method, path, answer.text)
            assert not marks.found(answer.text + str(answer.headers)), (method, path, request)
    assert not marks.found(logged())


def test_accepted_requests(
    server: Any, marks: Marks, another: Any, logged: Callable[[], str]
) -> None:
    """A life of an account: its passwords and tokens are in no log line, its passwords nowhere."""
    person = another() | {"password": marks.new("password")}
    auth = f"{server.url}/api/v1/auth"
    texts = []

    def send(path: str, body: Any = None, bearer: str = "", **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        headers |= more.pop("headers", {})
        answer = requests.post(f"{auth}/{path}", json=body, headers=headers, timeout=20, **more)
        texts.append(answer.text)
        return answer

    assert send("signup", person).status_code == 201
    right = {"email": person["email"], "password": person["password"]}
    assert send("login", right | {"password": marks.new("wrong")}).status_code == 401
    tokens = send("login", right).json()
    renewed = send("refresh", bearer=tokens["refresh_token"]).json()
    last = send("refresh", bearer=renewed["refresh_token"]).json()
    assert send("refresh", bearer=tokens["refresh_token"]).status_code == 401
    secret = [*_strings(tokens), *_strings(renewed), *_strings(last)]

    browser = requests.post(f"{auth}/login", json=right | {"mode": "cookie"}, timeout=20)
    secret += [*_strings(browser.json()), *(cookie.value or "" for cookie in browser.cookies)]

    tokens = send("login", right).json()
    change = {"current_password": marks.new("wrong"), "new_password": marks.new("password")}
    assert send("password", change, tokens["access_token"]).status_code == 403
    email = another()["email"]
    body = {"email": email, "current_password": person["password"]}
    assert send("email", body, tokens["access_token"]).status_code == 200
    change["current_password"] = person["password"]
    assert send("password", change, tokens["access_token"]).status_code == 204
    again = send("login", {"email": email, "password": change["new_password"]}).json()
    secret += [*_strings(tokens), *_strings(again)]
    assert send("logout", bearer=again["access_token"]).status_code == 204

    assert not marks.found("".join(texts))
    log = logged()
    assert not marks.found(log)
    for text in secret:
        assert text not in log
    for name in ("email", "national_id", "phone", "name"):
        assert person[name] not in log


def _strings(answer: dict[str, Any]) -> list[str]:
    """The values that are tokens; `Bearer` and the like are none."""
    return [value for value in answer.values() if isinstance(value, str) and len(value) > 20]


def test_lines(server: Any, another: Any, logged: Callable[[], str]) -> None:
    """Each line is an object; a request's has its id, client, route and the database's share."""
    answer = requests.post(f"{server.url}/api/v1/auth/signup", json=another(), timeout=20)
    lines = [json.loads(line) for line in logged().splitlines()]
    (line,) = [
        line for line in lines
        if line.get("request_id") == answer.headers["X-Request-Id"] and line["event"] == "request"
    ]  # fmt: skip
    assert line["address"] == "127.0.0.1"
    assert (line["method"], line["route"]) == ("POST", "/api/v1/auth/signup")
    assert line["status"] == 201
    assert 0 < line["db_ms"] < line["ms"]


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "TRACK", "DEBUG", "PROPFIND"])
def test_strange_methods_are_not_taken(server: Any, method: str) -> None:
    mark = secrets.token_hex(12)
    for path in ("/api/v1/users", "/api/v1/auth/login", "/healthz", "/docs"):
        answer = requests.request(method, server.url + path, headers={"X-Mark": mark}, timeout=10)
        assert answer.status_code == 405
        assert mark not in answer.text

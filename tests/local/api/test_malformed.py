"""Malformed anything is 4xx and names what is wrong; never 5xx, never a stack trace."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

BODIES: list[bytes] = [
    b"",
    b"null",
    b"true",
    b"1",
    b'"text"',
    b"[]",
    b"[" * 60_000,
    b'{"name":' * 5_000,
    b'{"x":' + b"[" * 30_000,
    b"{",
    b'{"email"}',
    b"\xff\xfe",
    b'{"email":"\xff"}',
    b'{"email":"\\ud800"}',
    b'{"email":"\\ud800aaaaaaa","password":"\\udfffaaaaaaa"}',
    b'{"email":"a\\u0000@example.com","password":"long-enough-1"}',
    b'{"email":{"$gt":""},"password":{"$ne":null}}',
    b'{"email":["a@example.com"],"password":"long-enough-1"}',
    b'{"email":1e999,"password":1}',
    b'{"email":NaN}',
    b'{"":1}',
    b'{"a/b~c":1,"$where":"1"}',
    b'{"email":"a@example.com","email":"b@example.com"}',
    b'{"email":"' + b"a" * 50_000 + b'@example.com"}',
    b'{"name":"\\u202e","national_id":"\\u0661\\u0662\\u0663\\u0664","email":"\\u0430@example.com"}',
    b'{"name":" ","national_id":"----","email":"@","phone":"+","address":"\\n"}',
    b"name=ada&email=a%40example.com",
]


def sound(answer: Any, fault: bool = True) -> None:
    """What holds for every answer to nonsense."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    if fault:
        assert answer.status_code >= 400, answer.text
        assert answer.mimetype == "application/problem+json"
        problem = answer.json
        assert problem["status"] == answer.status_code
        assert problem["request_id"] == answer.headers["X-Request-Id"]
        assert {"type", "title", "detail"} <= set(problem)
        if answer.status_code == 422:
            assert all(("pointer" in e) or ("parameter" in e) for e in problem["errors"])
            assert problem["errors"]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:24])
def test_bodies(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any], body: bytes
) -> None:
    for method, url, headers in (
        ("POST", "/api/v1/auth/signup", {}),
        ("POST", "/api/v1/auth/login", {}),
        ("POST", "/api/v1/users", admin),
        ("PATCH", ada["url"], ada["headers"]),
        ("PATCH", ada["url"], admin),
        ("PUT", ada["url"], ada["headers"]),
        ("POST", "/api/v1/projects", ada["headers"]),
    ):
        answer = client.open(
            url, method=method, headers=headers, data=body, content_type="application/json"
        )
        sound(answer, fault=not (method == "PATCH" and b'"b@example.com"' in body))


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "a", "é"]
)
def test_content_types(client: FlaskClient, person: dict[str, str], kind: str | None) -> None:
    answer = client.post("/api/v1/auth/signup", data=json.dumps(person), content_type=kind)
    sound(answer)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "query",
    ["limit=", "limit=-1", "limit=1.5", "limit=%00",
     "limit=1&limit=2", "after=", "after=%ff%fe", "after=" + "0" * 23, "after[$gt]=1", "$where=1",
     "sort=password_hash", "sort=name,email", "sort[$ne]=1", "fields=password_hash", "fields=*",
     "name[$regex]=.*", "name[regex]=.*", "name[gt]=a", "name[prefix][prefix]=a",
     "email[in]=a@b.co", "email=not-an-address", "role=root", "role[in]=user,,admin",
     "disabled=null",
     "created_at=yesterday", "created_at[gt]=99999999999999999999", "created_at[in]=,",
     "created_at[lt]=0000-00-00T00:00:00Z", "after=eyJhIjoxfQ", "after=AAAA.BBBB",
     "sort=name&after=1", "password_hash=x", "sessions=1", "version[gt]=1", "limit[]=1", "=",
     "%", "a" * 3000],
)  # fmt: skip
def test_queries(client: FlaskClient, admin: dict[str, str], query: str) -> None:
    answer = client.get(f"/api/v1/users?{query}", headers=admin)
    sound(answer)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "path",
    ["users/0", "users/%00", "users/" + "f" * 23, "users/" + "g" * 24, "users/" + "0" * 5000,
     "users/$where", "users/%F0%9F%A6%86", "users/..%2f..", "users//", "nothing", "users/1/2"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_paths(client: FlaskClient, admin: dict[str, str], path: str, method: str) -> None:
    body = {} if method == "PATCH" else None
    answer = client.open(f"/api/v1/{path}", method=method, json=body, headers=admin)
    sound(answer)
    assert answer.status_code in (404, 405)


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "NONSENSE"])
def test_methods(client: FlaskClient, admin: dict[str, str], method: str) -> None:
    answer = client.open("/api/v1/users", method=method, headers=admin)
    sound(answer)
    assert answer.status_code == 405


@pytest.mark.parametrize("given", ["", "x", "a" * 65, "bad id", 'inj"ection', "line\tbreak"])
def test_request_ids_from_outside_are_harmless(client: FlaskClient, given: str) -> None:
    answer = client.get("/healthz", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] != given
    good = "abc-123.DEF_456"
    answer = client.get("/healthz", headers={"X-Request-Id": good})
    assert answer.headers["X-Request-Id"] == good


def test_all_faults_of_a_body_are_named_at_once(client: FlaskClient) -> None:
    body = {"email": "x@", "phone": "12", "password": "password1", "role": "admin", "$set": {}}
    answer = client.post("/api/v1/auth/signup", json=body)
    assert sorted(e["pointer"] for e in answer.json["errors"]) == [
        "#/$set", "#/email", "#/name", "#/national_id", "#/password", "#/phone", "#/role",
    ]  # fmt: skip


def test_too_large(client: FlaskClient) -> None:
    large = b'{"name":"' + b"x" * 70_000 + b'"}'
    answer = client.post("/api/v1/auth/login", data=large, content_type="application/json")
    sound(answer)
    assert answer.status_code == 413


def test_security_headers_everywhere(client: FlaskClient) -> None:
    for url in ("/healthz", "/readyz", "/nothing", "/api/v1/users"):
        headers = client.get(url).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]

"""Malformed anything is 4xx and names what is wrong; never 5xx, never a stack trace."""

import gzip
import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.web.operations import of
from tests.helpers.api import make_person, sign_up

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


@pytest.fixture(scope="module")
def somebody(app: Flask) -> dict[str, Any]:
    """One person for all malformed bodies, which change nothing of hers."""
    return sign_up(app.test_client(), make_person())


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
    client: FlaskClient, admin: dict[str, str], somebody: dict[str, Any], body: bytes
) -> None:
    for method, url, headers in (
        ("POST", "/api/v1/auth/signup", {}),
        ("POST", "/api/v1/auth/login", {}),
        ("POST", "/api/v1/users", admin),
        ("PATCH", somebody["url"], somebody["headers"]),
        ("PATCH", somebody["url"], admin),
        ("PUT", somebody["url"], somebody["headers"]),
        ("POST", "/api/v1/projects", somebody["headers"]),
    ):
        answer = client.open(
            url, method=method, headers=headers, data=body, content_type="application/json"
        )
        sound(answer)
        assert answer.status_code != 401 or url.endswith("/login")  # it is the body that is refused


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "a", "é"]
)
def test_content_types(client: FlaskClient, person: dict[str, str], kind: str | None) -> None:
    answer = client.post("/api/v1/auth/signup", data=json.dumps(person), content_type=kind)
    sound(answer)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "query",
    ["limit=", "limit=-1", "limit=1.5",
     "limit=1&limit=2", "after=", "after=" + "0" * 23, "after[$gt]=1", "$where=1",
     "sort=password_hash", "sort=name,email", "sort[$ne]=1", "fields=password_hash", "fields=*",
     "name[$regex]=.*", "name[regex]=.*", "name[gt]=a", "name[prefix][prefix]=a",
     "email[in]=a@b.co", "email=not-an-address", "role=root", "role[in]=user,,admin",
     "disabled=null",
     "created_at=yesterday", "created_at[gt]=99999999999999999999", "created_at[in]=,",
     "created_at[lt]=0000-00-00T00:00:00Z", "after=eyJhIjoxfQ", "after=AAAA.BBBB",
     "sort=name&after=1", "password_hash=x", "sessions=1", "version[gt]=1", "limit[]=1", "=",
     "%", "a" * 3000, "&".join(f"k{n}=1" for n in range(800)),
     # Out of what the database can hold.
     "created_at[gte]=0001-01-01T00:00:00%2B23:59", "created_at[lt]=9999-12-31T23:59:59-23:59",
     "created_at=0001-01-01T00:00:00%2B00:01", "created_at=10000-01-01T00:00:00Z",
     "created_at[in]=2026-01-01T00:00:00Z,9999-12-31T23:59:59-00:01",
     "limit=9223372036854775808", "limit=" + "9" * 400],
)  # fmt: skip
def test_queries(client: FlaskClient, admin: dict[str, str], query: str) -> None:
    for url in ("/api/v1/users", "/api/v1/users/export"):
        answer = client.get(f"{url}?{query}", headers=admin)
        sound(answer)
        assert answer.status_code == 422
        assert len(answer.json["errors"]) <= 20
        assert "Expected" not in answer.text


@pytest.mark.parametrize(
    "query", ["created_at[gte]=0001-01-01T00:00:00Z", "created_at[lte]=9999-12-31T23:59:59.999Z",
              "created_at[gt]=2026-01-01T00:00:00.123456%2B14:00", "name[prefix]=%F0%9F%AB%A9"],
)  # fmt: skip
def test_queries_at_the_bounds(client: FlaskClient, admin: dict[str, str], query: str) -> None:
    assert client.get(f"/api/v1/users?{query}", headers=admin).status_code == 200


@pytest.mark.parametrize("bad", ["%ff", "%00", "a%c3", "%ed%a0%80", "%c0%80"])
@pytest.mark.parametrize("name", ["name", "name[prefix]", "name[in]", "limit", "after", "x"])
def test_parameters_that_are_no_text_are_named(
    client: FlaskClient, admin: dict[str, str], name: str, bad: str
) -> None:
    answer = client.get(f"/api/v1/users?sort=name&{name}=a{bad}", headers=admin)
    sound(answer)
    assert answer.status_code == 400
    assert [one["parameter"] for one in answer.json["errors"]] == [name]


@pytest.mark.parametrize(
    "path",
    ["users/0", "users/" + "f" * 23, "users/" + "g" * 24, "users/" + "0" * 5000,
     "users/$where", "users/%F0%9F%A6%86", "users/..%2f..", "users//", "nothing", "users/1/2"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_paths(client: FlaskClient, admin: dict[str, str], path: str, method: str) -> None:
    body = {} if method == "PATCH" else None
    answer = client.open(f"/api/v1/{path}", method=method, json=body, headers=admin)
    sound(answer)
    assert answer.status_code in (404, 405)


@pytest.mark.parametrize(
    "path", [b"users/\0", b"users/\xff", b"\xc3", b"auth/sessions/\xed\xa0\x80"]
)
def test_paths_that_are_no_text(client: FlaskClient, admin: dict[str, str], path: bytes) -> None:
    raw = {"PATH_INFO": f"/api/v1/{path.decode('latin-1')}"}  # as servers hand it over
    for headers in ({}, admin):
        answer = client.get("/", headers=headers, environ_overrides=raw)
        sound(answer)
        assert answer.status_code == 400


@pytest.mark.parametrize("text", ["\xff", "\xe4\x9b", "é\x80", '"\xff"', "Bearer \xff", "a=\xff"])
@pytest.mark.parametrize(
    "name",
    ["Authorization", "Cookie", "X-CSRF-TOKEN", "If-Match", "If-None-Match", "Idempotency-Key",
     "User-Agent", "Origin", "Content-Type", "X-Request-Id", "X-Forwarded-For", "Accept",
     "Content-Encoding"],
)  # fmt: skip
def test_headers_that_are_no_text(
    client: FlaskClient, ada: dict[str, Any], name: str, text: str
) -> None:
    headers = {**ada["headers"], name: text}
    sound(client.get(ada["url"], headers=headers), fault=False)
    sound(client.patch(ada["url"], json={"name": "Ada"}, headers=headers), fault=False)
    login = {"email": ada["person"]["email"], "password": ada["person"]["password"]}
    sound(client.post("/api/v1/auth/login", json=login, headers={name: text}), fault=False)


def test_client_names_are_kept_as_they_can_be_shown(
    client: FlaskClient, ada: dict[str, Any]
) -> None:
    login = {"email": ada["person"]["email"], "password": ada["person"]["password"]}
    client.post("/api/v1/auth/login", json=login, headers={"User-Agent": "x\x9b31m\xadé"})
    shown = client.get("/api/v1/auth/sessions", headers=ada["headers"]).json["items"]
    assert "x\\u009b31m\\u00adé" in [one["agent"] for one in shown]


def test_content_codings_are_refused_on_every_route_that_takes_a_body(
    app: Flask, client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    seen = 0
    for rule in app.url_map.iter_rules():
        found = of(app.view_functions[rule.endpoint])
        if found is None or not found.body:
            continue
        url = rule.rule.replace("<id:document_id>", ada["user"]["id"])
        (method,) = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        for body, coding in ((gzip.compress(b"{}"), "gzip"), (b"{}", "gzip"), (b"{}", "br, GZIP")):
            headers = {**admin, "Content-Encoding": coding}
            answer = client.open(
                url, method=method, data=body, headers=headers, content_type=found.media
            )
            sound(answer)
            assert answer.status_code == 415, (url, answer.text)
            assert answer.headers["Accept-Encoding"] == "identity"
        seen += 1
    assert seen > 10
    same = {**ada["headers"], "Content-Encoding": "identity"}
    assert client.patch(ada["url"], json={"name": "Ada"}, headers=same).status_code == 200


def test_ids_are_ids_in_capitals_too(
    client: FlaskClient, ada: dict[str, Any], bob: dict[str, Any], admin: dict[str, str]
) -> None:
    """In paths, bodies and filters alike; they are shown in small letters."""
    mine, other = ada["user"]["id"].upper(), bob["user"]["id"].upper()
    body = {"name": "P", "owner": mine, "members": [other]}
    made = client.post("/api/v1/projects", json=body, headers=ada["headers"])
    assert made.status_code == 201, made.json
    assert made.json["owner"] == ada["user"]["id"]
    assert made.json["members"] == [bob["user"]["id"]]
    path, _, document_id = made.headers["Location"].rpartition("/")
    assert client.get(f"{path}/{document_id.upper()}", headers=bob["headers"]).json == made.json
    for query in (f"owner={mine}", f"owner[in]={mine},{other}", f"members={other}"):
        found = client.get(f"{path}?{query}", headers=ada["headers"]).json["items"]
        assert made.json in found, query
    twice = {"members": [bob["user"]["id"], other]}
    refused = client.patch(made.headers["Location"], json=twice, headers=ada["headers"])
    assert [one["pointer"] for one in refused.json["errors"]] == ["#/members"]
    events = client.get(f"/api/v1/audit?target={mine}", headers=admin)
    assert events.status_code == 200
    sessions = client.get("/api/v1/auth/sessions", headers=ada["headers"]).json["items"]
    url = f"/api/v1/auth/sessions/{sessions[0]['id'].upper()}"
    assert client.delete(url, headers=ada["headers"]).status_code == 204


def test_unknown_names_by_the_thousand(client: FlaskClient) -> None:
    body = {f"k{n}": 1 for n in range(5000)}
    answer = client.post("/api/v1/auth/login", json=body)
    assert answer.status_code == 422
    assert len(answer.json["errors"]) == 20
    assert answer.json["error_count"] == 5001  # the password is missing, too
    assert len(answer.data) < 5000


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

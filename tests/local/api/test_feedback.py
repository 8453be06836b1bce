"""Feedback: from anyone, bounded by account and address; handled by administrators, once."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from api.settings import Settings
from api.store import Store
from tests.helpers.api import log_in, make_person, sign_up

URL = "/api/v1/feedback"
BODY = {
    "message": "It does not save.\nTwice now.",
    "page": "/dashboard/users",
    "problem": "7ab9fd6",
}
LIMIT = 3


def send(client: FlaskClient, headers: dict[str, str] | None = None, **more: Any) -> Any:
    return client.post(URL, json={**BODY, **more}, headers=headers)


def test_anyone_may(client: FlaskClient, admin: dict[str, str]) -> None:
    made = send(client)
    assert made.status_code == 201, made.json
    assert made.json is not None
    assert {name: made.json[name] for name in BODY} == BODY
    assert (made.json["state"], made.json["sender"]) == ("open", None)
    shown = client.get(made.headers["Location"], headers=admin)
    assert shown.json == made.json


def test_it_holds_no_address(client: FlaskClient, store: Store) -> None:
    made = send(client)
    stored = store.collection("feedback").find_one({"_id": ObjectId(made.json["id"])})
    assert stored is not None
    assert set(stored) == {
        "_id", "message", "page", "problem", "state", "version", "created_at", "updated_at",
        "page_folded",
    }  # fmt: skip


def test_who_is_signed_in_is_named(client: FlaskClient, ada: dict[str, Any]) -> None:
    assert send(client, ada["headers"]).json["sender"] == ada["user"]["id"]


def test_in_cookie_mode_it_wants_the_csrf_token(app: Flask, client: FlaskClient) -> None:
    person = make_person()
    mine = sign_up(client, person)["user"]["id"]
    browser = app.test_client()
    body = {"email": person["email"], "password": person["password"], "mode": "cookie"}
    entered: Any = browser.post("/api/v1/auth/login", json=body, base_url="https://localhost")
    csrf = {"X-CSRF-TOKEN": entered.json["csrf_token"]}
    post = {"json": BODY, "base_url": "https://localhost"}
    refused = browser.post(URL, **post)
    assert refused.status_code == 403
    made: Any = browser.post(URL, **post, headers=csrf)
    assert made.json["sender"] == mine


@pytest.mark.parametrize("bearer", ["Bearer nonsense", "Basic YTpi"])
def test_a_token_that_is_not_good_is_refused(client: FlaskClient, bearer: str) -> None:
    assert send(client, {"Authorization": bearer}).status_code == 401


def test_nobody_names_a_sender(
    client: FlaskClient, ada: dict[str, Any], bob: dict[str, Any]
) -> None:
    for headers in (None, ada["headers"]):
        refused = send(client, headers, sender=bob["user"]["id"])
        assert refused.status_code == 422
        assert refused.json["errors"][0]["pointer"] == "#/sender"


def test_administrators_handle_it_once(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    url = send(client, ada["headers"]).headers["Location"]
    for method in ("get", "patch", "delete"):
        answer = getattr(client, method)(url, json={"state": "handled"}, headers=ada["headers"])
        assert answer.status_code == 403
    handled: Any = client.patch(url, json={"state": "handled"}, headers=admin)
    assert handled.status_code == 200
    assert handled.json["handled_by"]
    assert handled.json["handled_at"]
    for state in ("handled", "open"):
        again: Any = client.patch(url, json={"state": state}, headers=admin)
        assert (again.status_code, again.json["type"]) == (409, "urn:shardstack:problem:state")
    assert client.delete(url, headers=admin).status_code == 204


def test_administrators_list_what_is_open(client: FlaskClient, admin: dict[str, str]) -> None:
    page = f"/dashboard/{secrets.token_hex(6)}"
    mine = send(client, page=page).json["id"]
    send(client)
    found: Any = client.get(f"{URL}?state=open&page[prefix]={page}", headers=admin)
    assert [one["id"] for one in found.json["items"]] == [mine]


def test_the_sender_goes_with_the_account(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    url = send(client, ada["headers"]).headers["Location"]
    assert client.delete(ada["url"], headers=ada["headers"]).status_code == 204
    shown: Any = client.get(url, headers=admin).json
    assert (shown["sender"], shown["message"]) == (None, BODY["message"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("message", ""), ("message", "x" * 2001), ("message", None), ("page", "x" * 201),
     ("page", "two\nlines"), ("problem", "x" * 201), ("state", "handled"), ("other", "x")],
)  # fmt: skip
def test_what_is_refused(client: FlaskClient, field: str, value: Any) -> None:
    refused = send(client, **{field: value})
    assert refused.status_code == 422
    assert [one["pointer"] for one in refused.json["errors"]] == [f"#/{field}"]


@pytest.fixture
def strict(conf: Settings, store: Store) -> Iterator[Flask]:
    """An app with low limits, behind a proxy that tests play."""
    assert store
    low = msgspec.structs.replace(
        conf,
        feedback_rate_account=f"{LIMIT}/minute",
        feedback_rate_address=f"{2 * LIMIT}/minute",
        trusted_proxies="127.0.0.1/32",
    )
    app = create_app(low)
    yield app
    app.extensions["store"].close()


def test_so_much_and_no_more(strict: Flask, ada: dict[str, Any]) -> None:
    """By account from wherever it comes, and by address whoever it is; before the body is read."""
    client = strict.test_client()

    def at(number: int) -> dict[str, str]:
        return {"X-Forwarded-For": f"2001:db8:{mark}:{number}::1"}

    mark = secrets.token_hex(2)
    me = log_in(client, ada["person"]["email"])
    for number in range(LIMIT):
        assert send(client, {**me, **at(number)}).status_code == 201
    refused = send(client, {**me, **at(LIMIT)}, message=None)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    for _ in range(2 * LIMIT):
        assert send(client, at(9)).status_code == 201
    assert send(client, at(9)).status_code == 429
    assert send(client, at(10)).status_code == 201

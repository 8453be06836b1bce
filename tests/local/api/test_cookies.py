"""Cookie mode: tokens that scripts never see, and writes only with the CSRF token."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

AUTH = "/api/v1/auth"
ME, LOGIN, REFRESH = f"{AUTH}/me", f"{AUTH}/login", f"{AUTH}/refresh"
ACCESS_COOKIE, REFRESH_COOKIE = "__Host-access_token", "__Secure-refresh_token"


@pytest.fixture
def browser(app: Flask, ada: dict[str, Any]) -> tuple[FlaskClient, dict[str, Any]]:
    """A client that keeps cookies, and what log-in answered."""
    client = app.test_client()
    body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    answer = client.post(LOGIN, json={**body, "mode": "cookie"})
    assert answer.status_code == 200, answer.json
    return client, answer.json


def csrf(token: str) -> dict[str, str]:
    return {"X-CSRF-TOKEN": token}


def test_cookies_are_secure_httponly_strict(client: FlaskClient, ada: dict[str, Any]) -> None:
    body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    answer = client.post(LOGIN, json={**body, "mode": "cookie"})
    assert set(answer.json) == {"token_type", "expires_in", "csrf_token", "csrf_refresh_token"}
    cookies = answer.headers.getlist("Set-Cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == [ACCESS_COOKIE, REFRESH_COOKIE]
    for cookie, path in zip(cookies, ("/", AUTH), strict=True):
        parts = cookie.split("; ")
        assert {"Secure", "HttpOnly", "SameSite=Strict", f"Path={path}"} <= set(parts)
        assert not any(part.startswith("Domain") for part in parts)
        assert parts[0].partition("=")[2] not in answer.text


def test_reads_need_the_cookie_alone(browser: tuple[FlaskClient, Any], ada: Any) -> None:
    client, _ = browser
    assert client.get(ME).json == ada["user"]


def test_writes_want_the_csrf_token(
    browser: tuple[FlaskClient, Any], ada: dict[str, Any], bob: dict[str, Any]
) -> None:
    client, given = browser
    url, change = ada["url"], {"name": "Changed"}
    assert client.get(ME).status_code == 200  # so that the token is known to the verifier
    for headers in ({}, csrf(""), csrf("x"), csrf(given["csrf_refresh_token"]), csrf("é")):
        answer = client.patch(url, json=change, headers=headers)
        assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")
    assert client.get(ME).json == ada["user"]
    assert client.patch(url, json=change, headers=csrf(given["csrf_token"])).status_code == 200
    assert client.get(bob["url"]).status_code == 404


def test_a_bearer_token_as_cookie_cannot_write(app: Flask, ada: dict[str, Any]) -> None:
    """It has no CSRF token to repeat."""
    client = app.test_client()
    client.set_cookie(ACCESS_COOKIE, ada["headers"]["Authorization"].split()[1], secure=True)
    assert client.get(ME).status_code == 200
    for headers in ({}, csrf(""), csrf("None")):
        assert client.post(f"{AUTH}/logout", headers=headers).status_code == 403


def test_refresh_by_cookie(browser: tuple[FlaskClient, Any], ada: dict[str, Any]) -> None:
    client, given = browser
    before = client.get_cookie(REFRESH_COOKIE, path=AUTH)
    assert before is not None
    assert client.post(REFRESH).status_code == 403
    assert client.post(REFRESH, headers=csrf(given["csrf_token"])).status_code == 403
    answer = client.post(REFRESH, headers=csrf(given["csrf_refresh_token"]))
    assert answer.status_code == 200
    after = client.get_cookie(REFRESH_COOKIE, path=AUTH)
    assert after is not None
    assert after.value != before.value
    assert client.get(ME).json == ada["user"]

    client.set_cookie(REFRESH_COOKIE, before.value, path=AUTH, secure=True)  # a replay
    replay = client.post(REFRESH, headers=csrf(given["csrf_refresh_token"]))
    assert replay.status_code == 401
    assert client.get(ME).status_code == 401


def test_cookies_in_each_others_place(app: Flask, browser: tuple[FlaskClient, Any]) -> None:
    client, given = browser
    access = client.get_cookie(ACCESS_COOKIE)
    refresh = client.get_cookie(REFRESH_COOKIE, path=AUTH)
    assert access is not None
    assert refresh is not None
    swapped = app.test_client()
    swapped.set_cookie(ACCESS_COOKIE, refresh.value, secure=True)
    swapped.set_cookie(REFRESH_COOKIE, access.value, path=AUTH, secure=True)
    assert swapped.get(ME).status_code == 401
    assert swapped.post(REFRESH, headers=csrf(given["csrf_token"])).status_code == 401


def test_log_out_removes_the_cookies(browser: tuple[FlaskClient, Any]) -> None:
    client, given = browser
    assert client.post(f"{AUTH}/logout").status_code == 403
    answer = client.post(f"{AUTH}/logout", headers=csrf(given["csrf_token"]))
    assert answer.status_code == 204
    assert client.get_cookie(ACCESS_COOKIE) is None
    assert client.get_cookie(REFRESH_COOKIE, path=AUTH) is None
    assert client.get(ME).status_code == 401


def test_without_cookies_none_are_set(client: FlaskClient, ada: dict[str, Any]) -> None:
    for path in ("login", "logout"):
        body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
        answer = client.post(f"{AUTH}/{path}", json=body, headers=ada["headers"])
        assert answer.status_code < 300
        assert "Set-Cookie" not in answer.headers


def test_modes_are_two(client: FlaskClient, ada: dict[str, Any]) -> None:
    body = {"email": ada["user"]["email"], "password": "x" * 8, "mode": "query"}
    answer = client.post(LOGIN, json=body)
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/mode")

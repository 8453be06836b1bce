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
    csrfs = {"csrf_token", "csrf_refresh_token"}
    assert set(answer.json) == {"token_type", "expires_in", "device_token", *csrfs}
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

    # Once the successor has been used, it is a replay; and no cookie is left.
    assert client.post(REFRESH, headers=csrf(given["csrf_refresh_token"])).status_code == 200
    client.set_cookie(REFRESH_COOKIE, before.value, path=AUTH, secure=True)
    replay = client.post(REFRESH, headers=csrf(given["csrf_refresh_token"]))
    assert replay.status_code == 401
    assert left(client) == [None, None]
    assert client.get(ME).status_code == 401


def left(client: FlaskClient) -> list[Any]:
    """The cookies that a browser still has."""
    return [client.get_cookie(ACCESS_COOKIE), client.get_cookie(REFRESH_COOKIE, path=AUTH)]


def test_two_tabs(browser: tuple[FlaskClient, Any], app: Flask, ada: dict[str, Any]) -> None:
    """They refresh at the same moment, then one after the other: nobody is logged out, and what
    either keeps (its CSRF tokens) stays good.
    """
    client, given = browser
    cookie = client.get_cookie(REFRESH_COOKIE, path=AUTH)
    assert cookie is not None
    slow = app.test_client()  # this tab's request left with the old cookie
    slow.set_cookie(REFRESH_COOKIE, cookie.value, path=AUTH, secure=True)
    answers = [
        tab.post(REFRESH, headers=csrf(given["csrf_refresh_token"])) for tab in (client, slow)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json
    same = [[cookie.value for cookie in left(tab)] for tab in (client, slow)]
    assert same[0] == same[1]
    for _ in range(2):
        assert client.post(REFRESH, headers=csrf(given["csrf_refresh_token"])).status_code == 200
    changed = client.patch(ada["url"], json={"name": "B"}, headers=csrf(given["csrf_token"]))
    assert changed.status_code == 200


@pytest.mark.parametrize("kept", ["csrf_token", "csrf_refresh_token"])
def test_log_out_when_only_the_refresh_cookie_is_left(
    browser: tuple[FlaskClient, Any], app: Flask, kept: str
) -> None:
    """As after half an hour."""
    client, given = browser
    client.delete_cookie(ACCESS_COOKIE)
    refresh = client.get_cookie(REFRESH_COOKIE, path=AUTH)
    assert refresh is not None
    for headers in ({}, csrf("x")):
        assert client.post(f"{AUTH}/logout", headers=headers).status_code == 403
    answer = client.post(f"{AUTH}/logout", headers=csrf(given[kept]))
    assert answer.status_code == 204
    assert len(answer.headers.getlist("Set-Cookie")) == 2
    assert left(client) == [None, None]
    thief = app.test_client()
    thief.set_cookie(REFRESH_COOKIE, refresh.value, path=AUTH, secure=True)
    again = thief.post(REFRESH, headers=csrf(given["csrf_refresh_token"]))
    assert again.status_code == 401


def test_log_out_of_a_session_that_has_ended(
    browser: tuple[FlaskClient, Any], client: FlaskClient, ada: dict[str, Any]
) -> None:
    mine, given = browser
    assert client.post(f"{AUTH}/logout-all", headers=ada["headers"]).status_code == 204
    assert mine.post(f"{AUTH}/logout", headers=csrf(given["csrf_token"])).status_code == 204
    assert left(mine) == [None, None]
    mine.set_cookie(ACCESS_COOKIE, "nonsense", secure=True)
    assert mine.post(f"{AUTH}/logout").status_code == 204
    assert left(mine) == [None, None]


def test_a_401_takes_back_what_is_good_for_nothing(
    browser: tuple[FlaskClient, Any], client: FlaskClient, ada: dict[str, Any]
) -> None:
    mine, given = browser
    mine.set_cookie(ACCESS_COOKIE, "expired", secure=True)
    assert mine.get(ME).status_code == 401
    gone, kept = left(mine)
    assert gone is None
    assert kept is not None  # it is good still
    assert mine.post(REFRESH, headers=csrf(given["csrf_refresh_token"])).status_code == 200
    assert client.post(f"{AUTH}/logout-all", headers=ada["headers"]).status_code == 204
    assert mine.get(ada["url"]).status_code == 401
    assert left(mine) == [None, None]
    answer = client.get(ME, headers=ada["headers"])  # no cookies came, none are taken back
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


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

"""What matters most is changed only by whoever proves again who it is."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from api.settings import Settings
from api.store import Documents

AUTH = "/api/v1/auth"
ME, LOGIN = f"{AUTH}/me", f"{AUTH}/login"


def test_change_of_e_mail_moves_the_claim(
    client: FlaskClient, ada: dict[str, Any], bob: dict[str, Any], another: Any
) -> None:
    url, old, new = f"{AUTH}/email", ada["user"]["email"], f"new.{ada['user']['email']}"
    body = {"email": new.upper(), "current_password": ada["person"]["password"]}
    changed = client.post(url, json=body, headers=ada["headers"])
    assert (changed.status_code, changed.json["email"]) == (200, new)
    assert client.get(ME, headers=ada["headers"]).json == changed.json
    for email, expected in ((old, 401), (new, 200)):
        login = {"email": email, "password": ada["person"]["password"]}
        assert client.post(LOGIN, json=login).status_code == expected
    assert client.post(f"{AUTH}/signup", json={**another(), "email": old}).status_code == 201

    taken = client.post(url, json={**body, "email": bob["user"]["email"]}, headers=ada["headers"])
    assert (taken.status_code, taken.json["errors"][0]["pointer"]) == (409, "#/email")


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("email", {"email": "x@example.org"}, "#/current_password"),
        ("email", {"email": "x", "current_password": "correct-horse-battery"}, "#/email"),
        ("password", {"new_password": "another-good-one"}, "#/current_password"),
        (
            "password",
            {"current_password": "correct-horse-battery", "new_password": "password123"},
            "#/new_password",
        ),
    ],
)
def test_re_authentication_wants_its_fields(
    client: FlaskClient, ada: dict[str, Any], path: str, body: dict[str, str], pointer: str
) -> None:
    answer = client.post(f"{AUTH}/{path}", json=body, headers=ada["headers"])
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json["errors"]]


@pytest.mark.parametrize(
    ("path", "change"),
    [("email", {"email": "mallory@example.org"}), ("password", {"new_password": "mallorys-own"})],
)
def test_a_stolen_token_changes_neither(
    client: FlaskClient, ada: dict[str, Any], path: str, change: dict[str, str]
) -> None:
    body = {**change, "current_password": "not-her-password"}
    assert client.post(f"{AUTH}/{path}", json=body, headers=ada["headers"]).status_code == 403
    for field in ("email", "password"):
        patched = client.patch(ada["url"], json={field: "x@y.example"}, headers=ada["headers"])
        assert patched.status_code == 422
    assert client.get(ME, headers=ada["headers"]).json == ada["user"]
    login = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    assert client.post(LOGIN, json=login).status_code == 200


def test_a_change_in_between_is_a_conflict(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any], seam: Any, app: Any
) -> None:
    """It might have been the password: nothing is changed on what was confirmed before."""
    done: list[int] = []

    def meanwhile(name: str, where: str, _command: Any) -> None:
        if (name, where) == ("findAndModify", "users") and not done:
            done.append(0)
            other = app.test_client().patch(ada["url"], json={"name": "B"}, headers=admin)
            done.append(other.status_code)

    body = {"new_password": "another-good-one", "current_password": ada["person"]["password"]}
    with seam.hooked(before=meanwhile):
        answer = client.post(f"{AUTH}/password", json=body, headers=ada["headers"])
    assert done == [0, 200]
    assert (answer.status_code, answer.json["type"]) == (
        409,
        "urn:shardstack:problem:version-moved",
    )
    assert client.get(ME, headers=ada["headers"]).status_code == 200
    assert client.post(f"{AUTH}/password", json=body, headers=ada["headers"]).status_code == 204


def aged(conf: Settings, headers: dict[str, str], seconds: float) -> dict[str, str]:
    """The same token, of a log-in so long ago."""
    token = headers["Authorization"].split()[1]
    claims = jwt.decode(token, options={"verify_signature": False})
    claims["auth_time"] -= int(seconds)
    header = {"kid": jwt.get_unverified_header(token)["kid"]}
    return {"Authorization": f"Bearer {jwt.encode(claims, conf.jwt_secret, 'HS256', header)}"}


def wants_log_in(answer: Any, conf: Settings) -> bool:
    """Whether it is the challenge of RFC 9470, and a problem that says what to do."""
    assert answer.status_code == 401, answer.json
    assert answer.json["type"] == "urn:shardstack:problem:fresh-login"
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert 'error="insufficient_user_authentication"' in challenge
    assert f'max_age="{conf.fresh_login:.0f}"' in challenge
    assert "log in again" in answer.json["detail"]
    return True


def test_what_matters_wants_a_fresh_log_in(
    client: FlaskClient, conf: Settings, ada: dict[str, Any]
) -> None:
    """A stolen token neither moves the account to another number nor deletes it."""
    url, old = ada["url"], aged(conf, ada["headers"], conf.fresh_login + 60)
    number = {"national_id": f"{ada['user']['national_id']}-X"}
    whole = {name: ada["user"][name] for name in ("name", "national_id", "phone", "occupation")}
    assert wants_log_in(client.patch(url, json=number, headers=old), conf)
    assert wants_log_in(client.put(url, json={**whole, **number}, headers=old), conf)
    assert wants_log_in(client.delete(url, headers=old), conf)
    assert client.get(url, headers=old).json == ada["user"]
    # The rest goes on, also where the number is sent as it is.
    assert client.put(url, json={**whole, "name": "B"}, headers=old).status_code == 200
    assert client.patch(url, json={"name": "C"}, headers=old).status_code == 200

    body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    token = client.post(LOGIN, json=body, headers=old).json["access_token"]
    fresh = {"Authorization": f"Bearer {token}"}
    assert client.patch(url, json=number, headers=fresh).status_code == 200
    assert client.delete(url, headers=fresh).status_code == 204


def test_an_administrator_s_own_account_too(
    client: FlaskClient, conf: Settings, ada: dict[str, Any], bob: dict[str, Any], users: Documents
) -> None:
    """What it may set without the present password; other people's accounts are its work."""
    users.change(ObjectId(ada["user"]["id"]), {"role": "admin"})
    old = aged(conf, ada["headers"], conf.fresh_login + 60)
    for change in ({"password": "another-good-one"}, {"email": f"x.{ada['user']['email']}"}):
        assert wants_log_in(client.patch(ada["url"], json=change, headers=old), conf)
        assert client.patch(bob["url"], json=change, headers=old).status_code == 200
    assert client.delete(bob["url"], headers=old).status_code == 204


def test_a_challenge_leaves_the_cookies(app: Any, conf: Settings, ada: dict[str, Any]) -> None:
    client = app.test_client()
    body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    given = client.post(LOGIN, json={**body, "mode": "cookie"}).json
    cookie = client.get_cookie("__Host-access_token")
    assert cookie is not None
    old = aged(conf, {"Authorization": f"Bearer {cookie.value}"}, conf.fresh_login + 60)
    client.set_cookie("__Host-access_token", old["Authorization"].split()[1], secure=True)
    answer = client.delete(ada["url"], headers={"X-CSRF-TOKEN": given["csrf_token"]})
    assert wants_log_in(answer, conf)
    assert "Set-Cookie" not in answer.headers
    assert client.get(ME).status_code == 200

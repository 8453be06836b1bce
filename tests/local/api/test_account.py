"""E-mail and password change only for who proves again who it is."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

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

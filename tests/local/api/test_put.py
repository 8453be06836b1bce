"""PUT on users: what is left out is removed; what is never shown stays; rights are named."""

from typing import Any

from flask.testing import FlaskClient

from tests.local.api.conftest import log_in


def test_a_user_replaces_itself(client: FlaskClient, ada: dict[str, Any]) -> None:
    url, own, before = ada["url"], ada["headers"], ada["user"]
    body = {"name": "Ada King", "national_id": before["national_id"], "occupation": "Countess"}
    got = client.put(url, json=body, headers=own).json
    assert (got["name"], got["occupation"]) == ("Ada King", "Countess")
    assert (got["phone"], got["address"]) == (None, None)
    kept = ("id", "email", "national_id", "role", "disabled", "created_at")
    assert {name: got[name] for name in kept} == {name: before[name] for name in kept}
    assert log_in(client, before["email"])  # the password is no part of what PUT replaces
    lacking = client.put(url, json={"name": "A"}, headers=own)
    assert [e["pointer"] for e in lacking.json["errors"]] == ["#/national_id"]
    for field in ("email", "role", "disabled", "password"):
        more = client.put(url, json={**body, field: "x"}, headers=own)
        assert [e["pointer"] for e in more.json["errors"]] == [f"#/{field}"]


def test_an_administrator_says_what_rights_remain(
    client: FlaskClient, ada: dict[str, Any], admin: dict[str, str]
) -> None:
    body = {name: ada["user"][name] for name in ("name", "national_id", "email")}
    lacking = client.put(ada["url"], json=body, headers=admin)
    assert {e["pointer"] for e in lacking.json["errors"]} == {"#/role", "#/disabled"}
    whole = {**body, "role": "user", "disabled": False}
    assert client.put(ada["url"], json=whole, headers=admin).json["phone"] is None
    assert log_in(client, ada["user"]["email"])

"""PUT on users: what is left out is removed; what is never shown stays; rights are named."""

from typing import Any

from flask.testing import FlaskClient

from tests.helpers.api import log_in
from tests.local.api.test_leads import form, register


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


def test_a_state_that_stays(client: FlaskClient, admin: dict[str, str]) -> None:
    """What is unchanged is no transition, and what is left out is unchanged."""
    url = register(client, form()).headers["Location"]
    for body in ({}, {"state": "pending"}):
        kept = client.put(url, json=body, headers=admin)
        assert (kept.status_code, kept.json["state"]) == (200, "pending")
        assert kept.json["reached_out_at"] is None
    reached = client.put(url, json={"state": "reached_out"}, headers=admin).json
    assert reached["reached_out_by"] is not None
    for body in ({}, {"state": "reached_out"}):
        kept = client.put(url, json=body, headers=admin)
        assert kept.status_code == 200
        assert {**kept.json, "version": 0, "updated_at": ""} == {
            **reached, "version": 0, "updated_at": "",
        }  # fmt: skip
    back = client.put(url, json={"state": "pending"}, headers=admin)
    assert (back.status_code, back.json["errors"][0]["pointer"]) == (409, "#/state")
    again = client.patch(url, json={"state": "reached_out"}, headers=admin)
    assert again.status_code == 409  # a change says what is to happen, and happens once


def test_a_state_on_a_condition(client: FlaskClient, admin: dict[str, str]) -> None:
    made = register(client, form())
    stale = {**admin, "If-Match": '"7"'}
    for body in ({}, {"state": "pending"}, {"state": "reached_out"}):
        assert client.put(made.headers["Location"], json=body, headers=stale).status_code == 412

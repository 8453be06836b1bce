"""What administrators do to accounts, what they cannot do to themselves, and what is kept of it."""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from api import setup
from api.crud.audit import Trail
from api.settings import Settings
from api.store import Store, StoreError, UnavailableError

AUTH, AUDIT = "/api/v1/auth", "/api/v1/audit"
ME, LOGIN = f"{AUTH}/me", f"{AUTH}/login"
PASSWORD = "correct-horse-battery"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(client: FlaskClient, email: str, password: str = PASSWORD) -> Any:
    return client.post(LOGIN, json={"email": email, "password": password})


@pytest.fixture
def chief(client: FlaskClient, store: Store) -> dict[str, Any]:
    """An administrator of one's own: {"headers", "id", "url"}."""
    email = f"chief-{secrets.token_hex(5)}@example.com"
    setup.ensure_admin(store, email, PASSWORD)
    headers = bearer(log_in(client, email).json["access_token"])
    shown = client.get(ME, headers=headers).json
    return {"headers": headers, "id": shown["id"], "url": f"/api/v1/users/{shown['id']}"}


def events(client: FlaskClient, headers: dict[str, str], **query: str) -> list[dict[str, Any]]:
    answer = client.get(AUDIT, query_string={"sort": "-created_at", **query}, headers=headers)
    assert answer.status_code == 200, answer.json
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def test_roles_change_at_once_and_reads_soon_follow(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any], bob: dict[str, Any]
) -> None:
    """An administrator's reads may go on for `principal_cache` seconds, its writes never."""
    for role, reads, writes in (("admin", 200, 200), ("user", 403, 404)):
        answer = client.patch(ada["url"], json={"role": role}, headers=admin)
        assert (answer.status_code, answer.json["role"]) == (200, role)
        written = client.patch(bob["url"], json={"name": "B"}, headers=ada["headers"])
        assert written.status_code == writes
        end = time.monotonic() + 3
        while client.get("/api/v1/users?limit=1", headers=ada["headers"]).status_code != reads:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize("role", ["root", "", None, 1, "ADMIN", {"$set": "admin"}])
def test_roles_are_two(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any], role: Any
) -> None:
    answer = client.patch(ada["url"], json={"role": role}, headers=admin)
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "#/role")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"disabled": True}, "disabled"),
        ({"role": "user"}, "role"),
        ({"role": "user", "disabled": False, "name": "X"}, "role"),
        ({"email": "new.chief@example.org", "disabled": True}, "disabled"),
    ],
)
def test_administrators_cannot_shut_themselves_out(
    client: FlaskClient, chief: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    before = client.get(chief["url"], headers=chief["headers"]).json
    answer = client.patch(chief["url"], json=change, headers=chief["headers"])
    assert answer.status_code == 409
    assert [error["pointer"] for error in answer.json["errors"]] == [f"#/{field}"]
    assert client.delete(chief["url"], headers=chief["headers"]).status_code == 409
    assert client.get(chief["url"], headers=chief["headers"]).json == before
    kept = client.patch(
        chief["url"], json={"role": "admin", "disabled": False}, headers=chief["headers"]
    )
    assert kept.status_code == 200


def test_another_administrator_can(
    client: FlaskClient, admin: dict[str, str], chief: dict[str, Any]
) -> None:
    assert client.patch(chief["url"], json={"role": "user"}, headers=admin).status_code == 200
    assert client.patch(chief["url"], json={"disabled": True}, headers=admin).status_code == 200
    assert client.delete(chief["url"], headers=admin).status_code == 204


def test_the_life_of_an_account_is_recorded(
    client: FlaskClient, admin: dict[str, str], person: dict[str, str]
) -> None:
    made = client.post(f"{AUTH}/signup", json=person)
    user_id = made.json["id"]
    log_in(client, person["email"], "not-her-password")
    tokens = [log_in(client, person["email"]).json for _ in range(3)]
    headers = bearer(tokens[0]["access_token"])
    sessions = client.get(f"{AUTH}/sessions", headers=headers).json["items"]
    other = next(found["id"] for found in sessions if not found["current"])
    client.delete(f"{AUTH}/sessions/{other}", headers=headers)
    client.post(f"{AUTH}/logout", headers=headers)
    again = log_in(client, person["email"]).json
    for agent in ("hers", "a thief's"):
        named = {**bearer(again["refresh_token"]), "User-Agent": agent}
        client.post(f"{AUTH}/refresh", headers=named)
    headers = bearer(log_in(client, person["email"]).json["access_token"])
    new = {"email": f"new.{person['email']}", "current_password": person["password"]}
    client.post(f"{AUTH}/email", json=new, headers=headers)
    client.post(f"{AUTH}/logout-all", headers=headers)
    headers = bearer(log_in(client, new["email"]).json["access_token"])
    change = {"current_password": "not-her-password", "new_password": "another-good-one"}
    client.post(f"{AUTH}/password", json=change, headers=headers)
    change["current_password"] = person["password"]
    client.post(f"{AUTH}/password", json=change, headers=headers)

    found = events(client, admin, target=user_id)[::-1]
    assert [(event["event"], event["outcome"], event["fields"]) for event in found] == [
        ("auth.signup", "done", None),
        ("auth.login", "refused", None),
        ("auth.login", "done", None),
        ("auth.login", "done", None),
        ("auth.login", "done", None),
        ("auth.session_revoked", "done", None),
        ("auth.logout", "done", None),
        ("auth.login", "done", None),
        ("auth.refresh_replay", "refused", None),
        ("auth.login", "done", None),
        ("auth.email_change", "done", ["email"]),
        ("auth.logout_all", "done", None),
        ("auth.login", "done", None),
        ("auth.password_change", "refused", None),
        ("auth.password_change", "done", ["password"]),
    ]
    assert {event["address"] for event in found} == {"127.0.0.1"}
    assert found[0]["request_id"] == made.headers["X-Request-Id"]
    own = [event["actor"] == user_id for event in found]
    assert own == [event["outcome"] == "done" or "password" in event["event"] for event in found]


def test_administrators_changes_are_recorded_without_values(
    client: FlaskClient, store: Store, chief: dict[str, Any], ada: dict[str, Any], bob: Any
) -> None:
    secret, new = "a-new-password-of-hers", f"new.{ada['user']['email']}"
    change = {"email": new, "password": secret, "role": "user"}
    assert client.patch(ada["url"], json=change, headers=chief["headers"]).status_code == 200
    clash = {"email": bob["user"]["email"]}
    assert client.patch(ada["url"], json=clash, headers=chief["headers"]).status_code == 409
    assert client.delete(ada["url"], headers=chief["headers"]).status_code == 204
    found = events(client, chief["headers"], actor=chief["id"], target=ada["user"]["id"])
    assert [(event["event"], event["outcome"], event["fields"]) for event in found] == [
        ("users.delete", "done", None),
        ("users.change", "refused", ["email"]),
        ("users.change", "done", ["email", "password", "role"]),
    ]
    stored = list(store.collection("audit").find({"target": ObjectId(ada["user"]["id"])}))
    text = str(stored)
    assert len(stored) == 5  # sign-up and log-in, too
    for value in (secret, new, bob["user"]["email"], ada["person"]["password"], "argon2"):
        assert value not in text


def test_one_write_for_the_trail_at_log_in(
    client: FlaskClient, ada: dict[str, Any], seam: Any
) -> None:
    writes: list[str] = []
    with seam.hooked(before=lambda name, where, _: writes.append(f"{name} {where}")):
        assert log_in(client, ada["user"]["email"]).status_code == 200
    assert writes.count("insert audit") == 1
    assert sum("audit" in write for write in writes) == 1


def test_an_event_is_written_before_the_change(
    client: FlaskClient, chief: dict[str, Any], ada: dict[str, Any], seam: Any
) -> None:
    done: list[str] = []
    with seam.hooked(after=lambda name, where, _: done.append(f"{name} {where}")):
        client.patch(ada["url"], json={"name": "B"}, headers=chief["headers"])
    assert done.index("insert audit") < done.index("findAndModify users")


@pytest.mark.parametrize(
    ("error", "outcome"), [(UnavailableError("x"), "unknown"), (StoreError("x"), "refused")]
)
def test_the_outcome_is_corrected(
    store: Store, conf: Settings, error: StoreError, outcome: str
) -> None:
    actor = ObjectId()
    with pytest.raises(type(error)), Trail(store, 60).recorded("test.change", actor=actor):
        raise error
    stored = store.collection("audit").find_one({"actor": actor})
    assert stored is not None
    assert stored["outcome"] == outcome
    assert 50 < (stored["ends_at"] - stored["created_at"]).total_seconds() < 70
    assert conf.audit_retention > 60


def test_the_trail_is_for_administrators_to_read(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    assert client.get(AUDIT).status_code == 401
    assert client.get(AUDIT, headers=ada["headers"]).status_code == 403
    found = events(client, admin, limit="1")[0]
    one = f"{AUDIT}/{found['id']}"
    assert client.get(one, headers=admin).json == found
    assert client.get(one, headers=ada["headers"]).status_code == 403
    for method, url in (("POST", AUDIT), ("PATCH", one), ("PUT", one), ("DELETE", one)):
        assert client.open(url, method=method, json={}, headers=admin).status_code == 405


def test_the_trail_is_filtered(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    times = [datetime.fromisoformat(event["created_at"]) for event in events(client, admin)]
    assert times == sorted(times, reverse=True)
    mine = events(client, admin, actor=ada["user"]["id"])
    assert [event["event"] for event in mine] == ["auth.login", "auth.signup"]
    since = {"created_at[gte]": mine[0]["created_at"], "event": "auth.login"}
    assert mine[0] in events(client, admin, **since)
    assert events(client, admin, **{"event[prefix]": "auth.", "actor": ada["user"]["id"]}) == mine
    for query in ({"actor": "x"}, {"outcome[$ne]": "x"}, {"address": "127.0.0.1"}):
        answer = client.get(AUDIT, query_string=query, headers=admin)
        assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, *query)


def test_old_events_go(store: Store) -> None:
    """The index that removes them; the server looks once a minute, so we do not wait."""

    def found() -> list[Any]:
        indexes = store.collection("audit").list_indexes()
        return [dict(index["key"]) for index in indexes if index.get("expireAfterSeconds") == 0]

    end = time.monotonic() + 5
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert found() == [{"ends_at": 1}]

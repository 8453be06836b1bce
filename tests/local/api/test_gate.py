"""The gate reads what a majority has, and refuses on nothing less than a linearizable read."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from api.auth import gate
from api.crud.access import Access, Who
from api.crud.resource import Resource
from api.resources import ALL
from api.resources.audit import Event
from api.store import Documents, Store, ThrottledError
from api.store.throttle import Storage, Throttle

AUTH = "/api/v1/auth"
ME, LOGIN = f"{AUTH}/me", f"{AUTH}/login"


def concerns(sent: list[dict[str, Any]]) -> list[str | None]:
    """The read concerns of the reads of users, in their order."""
    reads = [command for command in sent if command.get("find") == "users"]
    return [command.get("readConcern", {}).get("level") for command in reads]


def watched(seam: Any, sent: list[dict[str, Any]]) -> Any:
    return seam.hooked(before=lambda _name, _where, command: sent.append(command))


def test_one_majority_read_lets_in(client: FlaskClient, ada: dict[str, Any], seam: Any) -> None:
    sent: list[dict[str, Any]] = []
    with watched(seam, sent):
        assert client.get(ME, headers=ada["headers"]).status_code == 200
    assert concerns(sent) == ["majority"]
    assert len(sent) == 1


def test_a_refusal_is_confirmed(client: FlaskClient, ada: dict[str, Any], seam: Any) -> None:
    client.post(f"{AUTH}/logout", headers=ada["headers"])
    sent: list[dict[str, Any]] = []
    with watched(seam, sent):
        assert client.get(ME, headers=ada["headers"]).status_code == 401
    assert concerns(sent) == ["majority", "linearizable"]


def test_a_lagging_majority_refuses_nobody(
    client: FlaskClient,
    users: Documents,
    ada: dict[str, Any],
    seam: Any,
) -> None:
    """The session is there when one looks again, as just after a failover."""
    mine = {"_id": ObjectId(ada["user"]["id"])}
    stored = users.collection.find_one(mine)
    assert stored is not None
    users.collection.update_one(mine, {"$unset": {"sessions": ""}})

    def catch_up(_name: str, _where: str, command: dict[str, Any]) -> None:
        if command.get("readConcern", {}).get("level") == "linearizable":
            users.collection.update_one(mine, {"$set": {"sessions": stored["sessions"]}})

    with seam.hooked(before=catch_up):
        assert client.get(ME, headers=ada["headers"]).status_code == 200


@pytest.mark.parametrize("known", [True, False])
def test_log_in_takes_the_same_steps(
    client: FlaskClient, ada: dict[str, Any], seam: Any, known: bool
) -> None:
    """Unknown user or wrong password: the same commands in the same order."""
    email = ada["user"]["email"] if known else f"nobody.{secrets.token_hex(5)}@example.com"
    sent: list[str] = []
    with seam.hooked(before=lambda name, where, _: sent.append(f"{name} {where}")):
        answer = client.post(LOGIN, json={"email": email, "password": "not-her-password"})
    assert answer.status_code == 401
    assert sent == [
        "find claims",
        "find users",
        "findAndModify throttle",
        "findAndModify throttle",
        "findAndModify throttle",
        "find users",
        "insert audit",
    ]


def test_a_lost_primary_is_latency_for_counters(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hit is sent again, and counted."""
    lost: list[str] = []
    original = Storage.incr

    def unreliable(self: Storage, key: str, expiry: int, amount: int = 1) -> int:
        if len(lost) < 2:
            lost.append(key)
            raise AutoReconnect("connection closed")
        return int(original(self, key, expiry, amount))

    monkeypatch.setattr(Storage, "incr", unreliable)
    throttle, who = Throttle(store, "test", "2/minute"), secrets.token_hex(8)
    throttle.hit(who)
    throttle.hit(who)
    assert len(lost) == 2
    for first in (True, False):
        with pytest.raises(ThrottledError) as refused:
            throttle.hit(who)
        assert refused.value.first is first
        assert 1 <= refused.value.retry_after <= 60
    throttle.clear(who)
    throttle.hit(who)


def test_a_resource_cannot_open_itself() -> None:
    """What a declaration opens to anyone must stand on the public list."""
    open_one = Resource(name="secrets", fields=Event, access=Access(list=Who.ANYONE))
    with pytest.raises(ValueError, match=r"secrets\.list to anyone"):
        gate.agree([open_one])
    gate.agree(ALL)


def test_every_public_endpoint_exists(app: Flask) -> None:
    assert {rule.endpoint for rule in app.url_map.iter_rules()} >= gate.PUBLIC

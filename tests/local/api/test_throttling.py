"""Throttling: counted in the database, so that it holds over all workers together."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import requests
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from api.settings import Settings
from api.store import Store

AUTH = "/api/v1/auth"
LOGIN, SIGNUP = f"{AUTH}/login", f"{AUTH}/signup"
LIMIT = 4
WRONG = "not-her-password"


def address() -> str:
    """One that nobody else uses."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


@pytest.fixture(scope="module")
def strict(conf: Settings, store: Store) -> Iterator[tuple[Flask, Flask]]:
    """Two apps with low limits by account, behind a proxy that tests play."""
    assert store
    low = msgspec.structs.replace(
        conf, login_rate_account=f"{LIMIT}/minute", trusted_proxies="127.0.0.1/32"
    )
    apps = create_app(low), create_app(low)
    yield apps
    for app in apps:
        app.extensions["store"].close()


@pytest.fixture(scope="module")
def by_address(conf: Settings, store: Store) -> Iterator[Flask]:
    """An app with low limits by address."""
    assert store
    low = msgspec.structs.replace(
        conf,
        login_rate_address=f"{LIMIT}/minute",
        register_rate_address=f"{LIMIT}/minute",
        trusted_proxies="127.0.0.1/32",
    )
    app = create_app(low)
    yield app
    app.extensions["store"].close()


def attempt(client: FlaskClient, email: str, password: str = WRONG, **headers: str) -> Any:
    return client.post(LOGIN, json={"email": email, "password": password}, headers=headers)


def throttled(answer: Any) -> bool:
    """Whether it is a whole and proper 429."""
    assert answer.status_code == 429, answer.json
    assert answer.mimetype == "application/problem+json"
    assert answer.json["type"] == "urn:shardstack:problem:throttled"
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    return True


@pytest.mark.parametrize("known", [True, False])
def test_by_account_from_many_addresses(
    strict: tuple[Flask, Flask], ada: dict[str, Any], known: bool
) -> None:
    """Known or not: the same. And then the right password does not get in, either."""
    client = strict[0].test_client()
    email = ada["user"]["email"] if known else f"nobody.{secrets.token_hex(6)}@example.com"
    statuses = [
        attempt(client, email, **{"X-Forwarded-For": address()}).status_code
        for _ in range(LIMIT + 2)
    ]
    assert statuses == [401] * LIMIT + [429] * 2
    assert throttled(attempt(client, email, ada["person"]["password"]))


def test_refusals_are_recorded_once_in_a_span(
    strict: tuple[Flask, Flask], ada: dict[str, Any], store: Store
) -> None:
    """Who floods the API does not flood the audit trail."""
    for _ in range(LIMIT + 4):
        attempt(strict[0].test_client(), ada["user"]["email"])
    mine = {"target": ObjectId(ada["user"]["id"])}
    found = [event["outcome"] for event in store.collection("audit").find(mine)]
    assert found.count("refused") == LIMIT
    assert found.count("throttled") == 1


def test_both_names_of_an_account_are_one(strict: tuple[Flask, Flask], ada: dict[str, Any]) -> None:
    client = strict[0].test_client()
    for _ in range(LIMIT):
        assert attempt(client, ada["user"]["email"]).status_code == 401
    body = {"national_id": ada["user"]["national_id"], "password": WRONG}
    assert throttled(client.post(LOGIN, json=body))


def test_a_success_clears_the_account(strict: tuple[Flask, Flask], ada: dict[str, Any]) -> None:
    client = strict[0].test_client()
    email, password = ada["user"]["email"], ada["person"]["password"]
    for _ in range(3):
        for _ in range(LIMIT - 1):
            assert attempt(client, email).status_code == 401
        assert attempt(client, email, password).status_code == 200


def test_n_wrong_log_ins_at_once(strict: tuple[Flask, Flask], ada: dict[str, Any]) -> None:
    """Two apps, which share nothing but the database: together no more than the limit."""
    clients = [app.test_client() for app in strict for _ in range(6)]
    barrier = threading.Barrier(len(clients))

    def race(client: FlaskClient) -> int:
        barrier.wait()
        return int(attempt(client, ada["user"]["email"]).status_code)

    with ThreadPoolExecutor(len(clients)) as pool:
        statuses = sorted(pool.map(race, clients))
    assert statuses == [401] * LIMIT + [429] * (len(clients) - LIMIT)


def test_by_address_over_many_accounts(by_address: Flask) -> None:
    client = by_address.test_client()
    mine, other = address(), address()

    def fresh() -> str:
        return f"nobody.{secrets.token_hex(6)}@example.com"

    for _ in range(LIMIT):
        assert attempt(client, fresh(), **{"X-Forwarded-For": mine}).status_code == 401
    neighbour = mine.removesuffix("1") + "2"  # of the same /64
    for same in (mine, neighbour, f"6.6.6.6, {mine}"):
        assert throttled(attempt(client, fresh(), **{"X-Forwarded-For": same}))
    assert attempt(client, fresh(), **{"X-Forwarded-For": other}).status_code == 401


def test_an_untrusted_peer_cannot_choose_its_address(by_address: Flask) -> None:
    client = by_address.test_client()
    peer = {"REMOTE_ADDR": address()}
    for turn in range(LIMIT + 1):
        answer = client.post(
            LOGIN,
            json={"email": f"nobody.{secrets.token_hex(6)}@example.com", "password": WRONG},
            headers={"X-Forwarded-For": address()},
            environ_base=peer,
        )
        assert answer.status_code == (401 if turn < LIMIT else 429)


def test_sign_ups_by_address(by_address: Flask, another: Any) -> None:
    client, mine = by_address.test_client(), {"X-Forwarded-For": address()}
    for _ in range(LIMIT):
        assert client.post(SIGNUP, json=another(), headers=mine).status_code == 201
    assert throttled(client.post(SIGNUP, json=another(), headers=mine))


def test_the_present_password_is_no_way_around(
    strict: tuple[Flask, Flask], ada: dict[str, Any]
) -> None:
    """Guessing at /auth/password and /auth/email counts as guessing at log-in does."""
    client = strict[0].test_client()
    for path in ("password", "email") * (LIMIT // 2):
        change = {"password": {"new_password": "mallorys-own"}, "email": {"email": "m@x.example"}}
        body = {**change[path], "current_password": WRONG}
        answer = client.post(f"{AUTH}/{path}", json=body, headers=ada["headers"])
        assert answer.status_code == 403
    body = {"new_password": "mallorys-own", "current_password": WRONG}
    assert throttled(client.post(f"{AUTH}/password", json=body, headers=ada["headers"]))
    assert throttled(attempt(client, ada["user"]["email"]))


def test_counters_tell_nothing_and_go(
    strict: tuple[Flask, Flask], store: Store, ada: dict[str, Any]
) -> None:
    assert attempt(strict[0].test_client(), ada["user"]["email"]).status_code == 401
    counters = list(store.collection("throttle").find())
    assert counters
    for counter in counters:
        assert set(counter) == {"_id", "count", "expireAt"}
        assert len(counter["_id"].rpartition("/")[2]) == 64
    ttl = [i for i in store.collection("throttle").list_indexes() if "expireAfterSeconds" in i]
    assert [(dict(i["key"]), i["expireAfterSeconds"]) for i in ttl] == [({"expireAt": 1}, 0)]


def test_over_the_workers_of_a_server(
    environment: dict[str, str],
    server: Any,
    tmp_path_factory: pytest.TempPathFactory,
    ada: dict[str, Any],
) -> None:
    more = {"SHARDSTACK_WORKERS": "2", "SHARDSTACK_LOGIN_RATE_ACCOUNT": f"{LIMIT}/minute"}
    running = type(server)({**environment, **more}, tmp_path_factory.mktemp("strict") / "log")
    try:
        running.wait_ready()
        barrier = threading.Barrier(12)

        def race(_: int) -> int:
            barrier.wait()
            body = {"email": ada["user"]["email"], "password": WRONG}
            return requests.post(f"{running.url}{LOGIN}", json=body, timeout=20).status_code

        with ThreadPoolExecutor(12) as pool:
            statuses = sorted(pool.map(race, range(12)))
        assert statuses == [401] * LIMIT + [429] * (12 - LIMIT)
    finally:
        running.stop()

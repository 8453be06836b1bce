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
from api.auth.sessions import MOST_ADDRESSES
from api.settings import Settings
from api.store import Store
from api.web.proxies import block

AUTH = "/api/v1/auth"
LOGIN, SIGNUP = f"{AUTH}/login", f"{AUTH}/signup"
LIMIT = 4
STRANGERS = 3 * LIMIT
WRONG = "not-her-password"


def address() -> str:
    """One that nobody else uses."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


@pytest.fixture(scope="module")
def strict(conf: Settings, store: Store) -> Iterator[tuple[Flask, Flask]]:
    """Two apps with low limits by account, behind a proxy that tests play."""
    assert store
    low = msgspec.structs.replace(
        conf,
        login_rate_account=f"{LIMIT}/minute",
        login_rate_strangers=f"{STRANGERS}/minute",
        trusted_proxies="127.0.0.1/32",
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


def attempt(
    client: FlaskClient, email: str, password: str = WRONG, *, device: Any = None, **headers: str
) -> Any:
    body = {"email": email, "password": password, "device_token": device}
    return client.post(LOGIN, json=body, headers=headers)


def stranger() -> dict[str, str]:
    """Headers of a request from where nobody was before."""
    return {"X-Forwarded-For": address()}


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
    """Known or not: the same. Then the right password gets no stranger in, either."""
    client = strict[0].test_client()
    email = ada["user"]["email"] if known else f"nobody.{secrets.token_hex(6)}@example.com"
    statuses = [attempt(client, email, **stranger()).status_code for _ in range(STRANGERS + 2)]
    assert statuses == [401] * STRANGERS + [429] * 2
    assert throttled(attempt(client, email, ada["person"]["password"], **stranger()))


@pytest.mark.parametrize("known", [True, False])
def test_by_account_from_one_address(
    strict: tuple[Flask, Flask], ada: dict[str, Any], known: bool
) -> None:
    client, mallory = strict[0].test_client(), stranger()
    email = ada["user"]["email"] if known else f"nobody.{secrets.token_hex(6)}@example.com"
    statuses = [attempt(client, email, **mallory).status_code for _ in range(LIMIT + 7)]
    assert statuses == [401] * LIMIT + [429] * 7


def test_one_stranger_locks_nobody_out(strict: tuple[Flask, Flask], ada: dict[str, Any]) -> None:
    """However long it goes on: the owner gets in from home, and from anywhere else."""
    client, mallory = strict[0].test_client(), stranger()
    email, password = ada["user"]["email"], ada["person"]["password"]
    for _ in range(2 * STRANGERS):
        attempt(client, email, **mallory)
    assert throttled(attempt(client, email, **mallory))
    assert attempt(client, email, password).status_code == 200
    assert attempt(client, email, password, **stranger()).status_code == 200


def hammered(client: FlaskClient, user: dict[str, Any]) -> tuple[str, str]:
    """An account that so many strangers try at, that none of them is answered; how to log in."""
    email = user["user"]["email"]
    for _ in range(STRANGERS):
        assert attempt(client, email, **stranger()).status_code == 401
    assert throttled(attempt(client, email, user["person"]["password"], **stranger()))
    return email, user["person"]["password"]


def test_a_known_address_passes(strict: tuple[Flask, Flask], ada: dict[str, Any]) -> None:
    """With the right password; with a wrong one it is told what strangers are told."""
    client = strict[0].test_client()
    email, password = hammered(client, ada)
    assert throttled(attempt(client, email))
    for _ in range(LIMIT + 1):
        assert attempt(client, email, password).status_code == 200


@pytest.mark.long
def test_an_address_stays_known_when_its_sessions_are_over(
    strict: tuple[Flask, Flask], ada: dict[str, Any]
) -> None:
    client, home = strict[0].test_client(), stranger()
    email, password = ada["user"]["email"], ada["person"]["password"]
    tokens = attempt(client, email, password, **home).json
    own = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert client.post(f"{AUTH}/logout-all", headers=own).status_code == 204
    hammered(client, ada)
    neighbour = {"X-Forwarded-For": home["X-Forwarded-For"].removesuffix("1") + "2"}
    assert attempt(client, email, password, **neighbour).status_code == 200  # of the same /64


def test_a_known_device_passes(strict: tuple[Flask, Flask], ada: dict[str, Any], bob: Any) -> None:
    """From wherever; its own wrong tries count, and nobody else's device helps."""
    client = strict[0].test_client()
    device = attempt(client, ada["user"]["email"], ada["person"]["password"]).json["device_token"]
    other = attempt(client, bob["user"]["email"], bob["person"]["password"]).json["device_token"]
    email, password = hammered(client, ada)
    for _ in range(LIMIT + 1):
        got = attempt(client, email, password, device=device, **stranger())
        assert got.status_code == 200
    for wrong in (other, device + "x", "nonsense", ada["headers"]["Authorization"].split()[1]):
        assert throttled(attempt(client, email, password, device=wrong, **stranger()))
    for _ in range(LIMIT):
        assert attempt(client, email, device=device, **stranger()).status_code == 401
    assert throttled(attempt(client, email, password, device=device, **stranger()))
    assert attempt(client, email, password).status_code == 200  # from home


def test_a_device_token_opens_nothing(client: FlaskClient, ada: dict[str, Any]) -> None:
    device = attempt(client, ada["user"]["email"], ada["person"]["password"]).json["device_token"]
    headers = {"Authorization": f"Bearer {device}"}
    assert client.get(f"{AUTH}/me", headers=headers).status_code == 401
    assert client.post(f"{AUTH}/refresh", headers=headers).status_code == 401
    assert attempt(client, ada["user"]["email"], device=device).status_code == 401


def test_who_is_logged_in_can_log_in_again(
    strict: tuple[Flask, Flask], ada: dict[str, Any]
) -> None:
    """On the way, and without a device token."""
    client = strict[0].test_client()
    email, password = hammered(client, ada)
    moving = {**ada["headers"], **stranger()}
    assert attempt(client, email, password, **moving).status_code == 200
    body = {"email": email, "password": password, "mode": "cookie"}
    assert client.post(LOGIN, json=body).status_code == 200  # at home
    assert attempt(client, email, password, **stranger()).status_code == 200


def test_at_the_owner_s_own_address(strict: tuple[Flask, Flask], ada: dict[str, Any]) -> None:
    """A stranger behind the same router as the owner: the device token tells them apart."""
    client = strict[0].test_client()
    email, password = ada["user"]["email"], ada["person"]["password"]
    device = attempt(client, email, password).json["device_token"]
    for _ in range(LIMIT):
        assert attempt(client, email).status_code == 401
    assert throttled(attempt(client, email, password))
    assert attempt(client, email, password, device=device).status_code == 200


def test_the_last_addresses_are_known(
    strict: tuple[Flask, Flask], store: Store, ada: dict[str, Any]
) -> None:
    """So many and no more, each once."""
    client = strict[0].test_client()
    email, password = ada["user"]["email"], ada["person"]["password"]
    homes = [stranger() for _ in range(MOST_ADDRESSES + 1)]
    for home in (*homes, homes[-1]):
        assert attempt(client, email, password, **home).status_code == 200
    stored = store.collection("users").find_one({"_id": ObjectId(ada["user"]["id"])})
    assert stored is not None
    expected = [block(home["X-Forwarded-For"]) for home in homes[1:]]
    assert stored["known_addresses"] == expected


def test_neighbours_of_a_known_address(
    by_address: Flask, ada: dict[str, Any], bob: dict[str, Any]
) -> None:
    """They use up what their address has; who was there before gets in all the same."""
    client, home = by_address.test_client(), stranger()
    email, password = ada["user"]["email"], ada["person"]["password"]
    assert attempt(client, email, password, **home).status_code == 200
    for _ in range(LIMIT):
        attempt(client, f"nobody.{secrets.token_hex(6)}@example.com", **home)
    assert throttled(attempt(client, email, **home))
    assert throttled(attempt(client, bob["user"]["email"], bob["person"]["password"], **home))
    assert attempt(client, email, password, **home).status_code == 200


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


def guess(client: FlaskClient, path: str, **headers: str) -> Any:
    """Try to change something with a wrong password."""
    change = {"password": {"new_password": "mallorys-own"}, "email": {"email": "m@x.example"}}
    body = {**change[path], "current_password": WRONG}
    return client.post(f"{AUTH}/{path}", json=body, headers=headers)


def test_the_present_password_is_no_way_around(
    strict: tuple[Flask, Flask], ada: dict[str, Any]
) -> None:
    """Guessing at /auth/password and /auth/email is counted, too: of a session. The owner, who has
    others, can go on.
    """
    client = strict[0].test_client()
    for path in ("password", "email") * (LIMIT // 2):
        assert guess(client, path, **ada["headers"]).status_code == 403
    for path in ("password", "email"):
        assert throttled(guess(client, path, **ada["headers"]))
    opened = attempt(client, ada["user"]["email"], ada["person"]["password"])
    assert opened.status_code == 200
    own = {"Authorization": f"Bearer {opened.json['access_token']}"}
    body = {"new_password": "another-good-one", "current_password": ada["person"]["password"]}
    assert client.post(f"{AUTH}/password", json=body, headers=own).status_code == 204


@pytest.mark.long
def test_strangers_do_not_keep_the_owner_from_a_new_password(
    strict: tuple[Flask, Flask], ada: dict[str, Any]
) -> None:
    client = strict[0].test_client()
    hammered(client, ada)
    for _ in range(LIMIT + 1):
        attempt(client, ada["user"]["email"])  # from the owner's own address, too
    body = {"new_password": "another-good-one", "current_password": ada["person"]["password"]}
    answer = client.post(f"{AUTH}/password", json=body, headers=ada["headers"])
    assert answer.status_code == 204


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


@pytest.mark.long
@pytest.mark.core
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

"""Nobody finds out by trying, value after value, which of them other people have."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient
from urllib3 import encode_multipart_formdata

from api.app import create_app
from api.resources import ALL
from api.settings import Settings
from api.store import Documents, DuplicateError, Store, ThrottledError, Unique
from api.store.claims import Watch
from api.store.throttle import Throttle
from api.web import operations

AUTH, USERS = "/api/v1/auth", "/api/v1/users"
LIMIT = 3


def limited(conf: Settings, name: str) -> Iterator[Flask]:
    """An app with a low limit of this name, behind a proxy that tests play."""
    low: dict[str, Any] = {name: f"{LIMIT}/hour", "trusted_proxies": "127.0.0.1/32"}
    app = create_app(msgspec.structs.replace(conf, **low))
    yield app
    app.extensions["store"].close()


@pytest.fixture(scope="module")
def by_account(conf: Settings, store: Store) -> Iterator[Flask]:
    assert store
    yield from limited(conf, "unique_rate_account")


@pytest.fixture(scope="module")
def by_address(conf: Settings, store: Store) -> Iterator[Flask]:
    assert store
    yield from limited(conf, "unique_rate_address")


def somewhere() -> dict[str, str]:
    """Headers of a request from where nobody was before."""
    mark = secrets.token_hex(4)
    return {"X-Forwarded-For": f"2001:db8:{mark[:4]}:{mark[4:]}::1"}


def number() -> str:
    return f"N-{secrets.token_hex(5).upper()}"


def throttled(answer: Any) -> bool:
    """Whether it is a whole and proper 429."""
    assert answer.status_code == 429, answer.json
    assert answer.json["type"] == "urn:shardstack:problem:throttled"
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600
    return True


def test_national_ids_by_account(
    by_account: Flask, ada: dict[str, Any], bob: dict[str, Any]
) -> None:
    """Taken or free, each answer counts; e-mail addresses are part of the same count."""
    client, url, own = by_account.test_client(), ada["url"], ada["headers"]
    tries = [(bob["user"]["national_id"], 409), (number(), 200), (bob["user"]["national_id"], 409)]
    for value, status in tries:
        answer = client.patch(url, json={"national_id": value}, headers={**own, **somewhere()})
        assert answer.status_code == status, answer.json
    for value in (bob["user"]["national_id"], number()):
        change = {"national_id": value}
        assert throttled(client.patch(url, json=change, headers={**own, **somewhere()}))
    for email in (bob["user"]["email"], f"{secrets.token_hex(6)}@example.com"):
        body = {"email": email, "current_password": ada["person"]["password"]}
        assert throttled(client.post(f"{AUTH}/email", json=body, headers=own))
    assert client.get(url, headers=own).json["national_id"] == tries[1][0]


def test_ordinary_edits_count_nothing(by_account: Flask, ada: dict[str, Any]) -> None:
    client, url, own = by_account.test_client(), ada["url"], ada["headers"]
    whole = {name: ada["user"][name] for name in ("name", "national_id", "phone", "occupation")}
    for turn in range(2 * LIMIT):
        assert client.patch(url, json={"name": f"Ada {turn}"}, headers=own).status_code == 200
        answer = client.put(url, json={**whole, "name": f"A {turn}"}, headers=own)
        assert answer.status_code == 200, answer.json
        same = {"national_id": ada["user"]["national_id"]}
        assert client.patch(url, json=same, headers=own).status_code == 200
    assert client.patch(url, json={"national_id": number()}, headers=own).status_code == 200


def test_n_tries_at_once(by_account: Flask, ada: dict[str, Any], bob: dict[str, Any]) -> None:
    clients = [by_account.test_client() for _ in range(3 * LIMIT)]
    barrier = threading.Barrier(len(clients))

    def race(client: FlaskClient) -> int:
        barrier.wait()
        change = {"national_id": bob["user"]["national_id"]}
        return int(client.patch(ada["url"], json=change, headers=ada["headers"]).status_code)

    with ThreadPoolExecutor(len(clients)) as pool:
        statuses = sorted(pool.map(race, clients))
    assert statuses == [409] * LIMIT + [429] * (len(clients) - LIMIT)


def test_accounts_from_one_address(by_address: Flask, another: Any, bob: dict[str, Any]) -> None:
    """Whoever makes more accounts gets no more tries. What succeeds does not count."""
    client, here = by_address.test_client(), somewhere()
    for _ in range(2 * LIMIT):
        assert client.post(f"{AUTH}/signup", json=another(), headers=here).status_code == 201
    taken = {"email": bob["user"]["email"]}, {"national_id": bob["user"]["national_id"]}
    for turn in range(LIMIT):
        answer = client.post(f"{AUTH}/signup", json={**another(), **taken[turn % 2]}, headers=here)
        assert answer.status_code == 409
    for person in ({**another(), **taken[0]}, another()):
        assert throttled(client.post(f"{AUTH}/signup", json=person, headers=here))
    elsewhere = client.post(f"{AUTH}/signup", json=another(), headers=somewhere())
    assert elsewhere.status_code == 201


def test_forms_count_too(by_address: Flask) -> None:
    client, here = by_address.test_client(), somewhere()
    email = f"{secrets.token_hex(6)}@example.com"

    def send(email: str) -> Any:
        content = ("cv.pdf", b"%PDF-1.7\n" + secrets.token_bytes(99), "application/pdf")
        parts = {"first_name": "G", "last_name": "H", "email": email, "resume": content}
        body, media = encode_multipart_formdata(parts)
        return client.post("/api/v1/leads", data=body, content_type=media, headers=here)

    assert [send(email).status_code for _ in range(LIMIT + 1)] == [201] + [409] * LIMIT
    for one in (email, f"{secrets.token_hex(6)}@example.com"):
        assert throttled(send(one))


def test_administrators_know_it_anyway(
    by_account: Flask, admin: dict[str, str], ada: dict[str, Any], bob: dict[str, Any], another: Any
) -> None:
    client = by_account.test_client()
    for _ in range(LIMIT + 1):
        change = {"national_id": bob["user"]["national_id"]}
        assert client.patch(ada["url"], json=change, headers=admin).status_code == 409
        person = {**another(), "email": bob["user"]["email"]}
        assert client.post(USERS, json=person, headers=admin).status_code == 409


class Told(Watch):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextmanager
    def creating(self) -> Iterator[None]:
        self.told.append("begun")
        yield
        self.told.append("created")

    def changing(self) -> None:
        self.told.append("changing")


def test_whatever_is_unique_is_watched(store: Store) -> None:
    """A new resource need not think of it: the store does."""
    own = Store(store.options)
    own.watch = watch = Told()
    things = Documents(own, "users", (Unique("email"),))
    try:
        first, second = (f"{secrets.token_hex(6)}@example.com" for _ in range(2))
        made = things.create({"email": first, "name": "A"})
        assert watch.told == ["begun", "created"]
        with pytest.raises(DuplicateError):
            things.create({"email": first})
        assert watch.told == ["begun", "created", "begun"]
        watch.told.clear()
        plain = things.create({"name": "without a unique value"})
        things.change(made["_id"], {"name": "B"})
        things.change(made["_id"], {"email": first})
        things.change(made["_id"], {"email": None})
        assert watch.told == []
        things.change(made["_id"], {"email": second})
        assert watch.told == ["changing"]
        for one in (made, plain):
            things.delete(one["_id"])
    finally:
        own.close()


def test_whatever_tells_says_so_in_the_description(app: Flask) -> None:
    for resource in ALL:
        for verb in ("create", "change", "replace"):
            view = app.view_functions.get(f"{resource.name}.{verb}")
            found = operations.of(view)
            if found is not None and resource.unique:
                assert 429 in found.problems, (resource.name, verb)


def test_a_hit_is_given_back(store: Store) -> None:
    throttle, who = Throttle(store, "test", "2/hour"), str(ObjectId())
    throttle.give_back(who)  # none was counted
    for _ in range(4):
        throttle.hit(who)
        throttle.give_back(who)
    throttle.hit(who)
    throttle.hit(who)
    with pytest.raises(ThrottledError):
        throttle.hit(who)

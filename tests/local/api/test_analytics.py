"""Analytics: what was asked by day and route, counted once, of nobody by name."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect

from api.analytics.rollups import Rollups
from api.analytics.routes import of_day
from api.app import create_app
from api.settings import Settings
from api.store import Store, UnavailableError
from api.store.analytics import COLLECTION, KEPT, Addition, add
from api.store.deadline import deadline
from api.web.metrics import Usage
from tests.helpers.api import log_in, make_person, running, sign_up

URL = "/api/v1/analytics"


def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
def day(store: Store) -> Iterator[date]:
    """One of long ago, which nobody else writes."""
    days = store.collection(COLLECTION)
    chosen = date(1990, 1, 1) + timedelta(days=secrets.randbelow(9000))
    yield chosen
    days.delete_one({"_id": chosen.isoformat()})


@pytest.fixture
def counting(conf: Settings, store: Store) -> Iterator[Flask]:
    """An app of its own, whose counts are its own."""
    app = create_app(msgspec.structs.replace(conf, database_uri=store.options.uri))
    yield app
    app.extensions["store"].close()


def stored(store: Store, day: date) -> dict[str, Any]:
    found = store.collection(COLLECTION).find_one({"_id": day.isoformat()})
    return found or {"routes": {}}


def shown(client: FlaskClient, admin: dict[str, str], first: date, last: date) -> Any:
    answer = client.get(f"{URL}?from={first}&to={last}", headers=admin)
    assert answer.status_code == 200, answer.json
    assert answer.json is not None
    return answer.json["days"]


def of_today(client: FlaskClient, admin: dict[str, str]) -> Any:
    none = {"requests": 0, "client_errors": 0, "server_errors": 0}
    found = shown(client, admin, today(), today())
    return found[0] if found else {**none, "sign_ups": 0, "log_ins": 0, "routes": []}


def route(day: Any, name: str) -> Any:
    none = {"route": name, "requests": 0, "client_errors": 0, "server_errors": 0}
    return next((one for one in day["routes"] if one["route"] == name), none)


def test_a_day(counting: Flask, client: FlaskClient, admin: dict[str, str]) -> None:
    """Each request once: of its route, with its kind of answer."""
    rollups: Rollups = counting.extensions["analytics"]
    before = of_today(client, admin)
    mine = counting.test_client()
    person = make_person()
    sign_up(mine, person)
    assert mine.post("/api/v1/auth/signup", json=person).status_code == 409
    assert mine.post("/api/v1/auth/login", json={"email": "x", "password": "y"}).status_code == 422
    assert mine.get("/nothing").status_code == 404
    assert mine.get("/healthz").status_code == 200
    rollups.flush(20)
    rollups.flush(20)
    after = of_today(client, admin)
    assert after["sign_ups"] - before["sign_ups"] == 1
    assert after["log_ins"] - before["log_ins"] == 1
    assert after["requests"] - before["requests"] == 5
    assert after["client_errors"] - before["client_errors"] == 3
    assert after["server_errors"] == before["server_errors"]
    grown = {
        name: route(after, name)["requests"] - route(before, name)["requests"]
        for name in ("auth.signup", "auth.login", "none", "health.alive")
    }
    assert grown == {"auth.signup": 2, "auth.login": 2, "none": 1, "health.alive": 0}


def test_who_was_active(store: Store, day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, on however many workers; whoever was refused is not."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    people = [secrets.token_hex(12) for _ in range(12)]
    conf = Settings(database_uri="mongodb://127.0.0.1", jwt_secret=secrets.token_urlsafe(48))
    for _ in range(3):
        usage = Usage()
        with monkeypatch.context() as patch:
            patch.setattr("api.web.metrics.time.time", lambda: noon)
            for one in people:
                usage.count("users.get", 200, one)
                usage.count("users.get", 401, secrets.token_hex(12))
        Rollups(store, conf, usage).flush(20)
    found = of_day({"_id": day.isoformat(), **stored(store, day)})
    assert found.requests == 72
    assert found.client_errors == 36
    assert abs(found.active_users - 12) <= 1
    text = repr(stored(store, day))
    assert not any(one in text for one in people)


def test_an_addition_counts_once(store: Store, day: date) -> None:
    one = Addition(day=day)
    one.counts["users/list.requests"] = 3
    one.registers = {7: 2}
    ends = datetime.now(UTC) + timedelta(days=1)
    for _ in range(3):
        add(store, one, ends)
    found = stored(store, day)
    assert found["routes"] == {"users/list": {"requests": 3}}
    assert found["users"] == {"7": 2}
    assert found["flushes"] == [one.id]


def test_many_workers_begin_a_day(store: Store, day: date) -> None:
    """All at once, and none is lost."""
    ends = datetime.now(UTC) + timedelta(days=1)

    def send(number: int) -> None:
        one = Addition(day=day, registers={number: 1})
        one.counts["users/list.requests"] = 1
        add(store, one, ends)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(send, range(60)))
    found = stored(store, day)
    assert found["routes"]["users/list"]["requests"] == 60
    assert len(found["users"]) == 60
    assert len(found["flushes"]) == 60 < KEPT


def test_a_lost_answer_counts_once(
    store: Store, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update took effect, and its answer is lost, so often that PyMongo gives up."""
    lost: list[str] = []
    original = Collection.update_one

    def unreliable(self: Any, *arguments: Any, **more: Any) -> Any:
        answer = original(self, *arguments, **more)
        if self.name == COLLECTION and len(lost) < 3:
            lost.append(self.name)
            raise AutoReconnect("the answer is lost")
        return answer

    monkeypatch.setattr(Collection, "update_one", unreliable)
    one = Addition(day=day)
    one.counts["users/list.requests"] = 3
    with deadline(20):
        add(store, one, datetime.now(UTC) + timedelta(days=1))
    assert len(lost) == 3
    assert stored(store, day)["routes"] == {"users/list": {"requests": 3}}


def test_what_could_not_be_written_waits(
    store: Store, conf: Settings, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    monkeypatch.setattr("api.web.metrics.time.time", lambda: noon)
    usage = Usage()
    rollups = Rollups(store, conf, usage)
    usage.count("users.list", 200, None)

    def fail(*_: Any) -> None:
        raise UnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr("api.analytics.rollups.add", fail)
        for _ in range(3):
            usage.count("users.list", 500, None)
            with pytest.raises(UnavailableError):
                rollups.flush(5)
    usage.count("users.list", 404, None)
    rollups.flush(20)
    rollups.flush(20)
    counts = stored(store, day)["routes"]["users/list"]
    assert counts == {"requests": 5, "client_errors": 1, "server_errors": 3}


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("", ["from", "to"]),
        ("from=2026-01-01", ["to"]),
        ("from=2026-01-02&to=2026-01-01", ["to"]),
        ("from=2025-01-01&to=2026-02-05", ["to"]),
        ("from=2026-1-1&to=2026-13-01", ["from", "to"]),
        ("from=2026-01-01&to=2026-01-02&more=1", ["more"]),
    ],
)
def test_what_is_refused(
    client: FlaskClient, admin: dict[str, str], query: str, parameters: list[str]
) -> None:
    refused: Any = client.get(f"{URL}?{query}", headers=admin)
    assert refused.status_code == 422
    assert [one["parameter"] for one in refused.json["errors"]] == parameters


def test_400_days_and_no_more(client: FlaskClient, admin: dict[str, str]) -> None:
    first = date(2025, 1, 1)
    shown(client, admin, first, first + timedelta(days=399))
    last = first + timedelta(days=400)
    assert client.get(f"{URL}?from={first}&to={last}", headers=admin).status_code == 422


def test_days_come_in_order(
    client: FlaskClient, admin: dict[str, str], store: Store, day: date
) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    days = [day + timedelta(days=number) for number in (4, 0, 2)]
    try:
        for one in days:
            add(store, Addition(day=one, registers={1: 1}), ends)
        found = [one["day"] for one in shown(client, admin, day, day + timedelta(days=3))]
        assert found == [one.isoformat() for one in sorted(days)[:2]]
    finally:
        names = [one.isoformat() for one in days]
        store.collection(COLLECTION).delete_many({"_id": {"$in": names}})


def test_administrators_only(client: FlaskClient, ada: dict[str, Any]) -> None:
    assert client.get(URL).status_code == 401
    assert client.get(URL, headers=ada["headers"]).status_code == 403


def test_it_is_read_by_a_range(client: FlaskClient, admin: dict[str, str], seam: Any) -> None:
    sent: list[dict[str, Any]] = []
    with seam.hooked(before=lambda _n, _c, command: sent.append(command)):
        shown(client, admin, today(), today())
    [command] = [one for one in sent if one.get("find") == COLLECTION]
    assert set(command["filter"]) == {"_id"}


def test_a_server_brings_its_counts_when_it_ends(
    environment: dict[str, str],
    tmp_path: Path,
    client: FlaskClient,
    admin: dict[str, str],
) -> None:
    """Of both workers, and at a time when the thread's minute is not over."""
    before = of_today(client, admin)
    more = {"SHARDSTACK_WORKERS": "2"}
    with (
        running({**environment, **more}, tmp_path / "log") as server,
        ThreadPoolExecutor(8) as pool,
    ):
        url = f"{server.url}/api/v1/auth/jwks.json"
        list(pool.map(lambda _: requests.get(url, timeout=10), range(40)))
    after = of_today(client, admin)
    name = "auth.jwks"
    assert route(after, name)["requests"] - route(before, name)["requests"] == 40


def test_the_thread_brings_them(
    store: Store, conf: Settings, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    monkeypatch.setattr("api.analytics.rollups.EVERY", 0.05)
    usage = Usage()
    rollups = Rollups(store, conf, usage)
    with monkeypatch.context() as patch:
        patch.setattr("api.web.metrics.time.time", lambda: noon)
        usage.count("users.list", 200, None)
    rollups.start()
    try:
        wait_for(lambda: stored(store, day)["routes"] == {"users/list": {"requests": 1}})
    finally:
        rollups.stop()


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_token_of_an_ended_session_is_nobody(counting: Flask) -> None:
    client, person = counting.test_client(), make_person()
    ada = sign_up(client, person)
    counting.extensions["meter"].usage.take()
    client.post("/api/v1/auth/logout", headers=ada["headers"])
    assert client.get("/api/v1/auth/me", headers=ada["headers"]).status_code == 401
    assert counting.extensions["meter"].usage.take()[1] == {}
    again = log_in(client, person["email"])
    client.get("/api/v1/auth/me", headers=again)
    [who] = counting.extensions["meter"].usage.take()[1].values()
    assert who == {ada["user"]["id"]}

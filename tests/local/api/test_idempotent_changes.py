"""Idempotency-Key on PATCH, PUT and DELETE: a change is applied once, whatever comes in between."""

import secrets
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from api.settings import Settings
from api.store import Store, replay
from tests.helpers.api import RunningServer, make_person, running, sign_up
from tests.local.api.test_leads import form, register

PROJECTS = "/api/v1/projects"
CHANGES = [
    ("PATCH", {"description": "mine"}),
    ("PUT", {"name": "X", "description": "mine"}),
]
Headers = dict[str, str]
Change = tuple[str, Any]


@pytest.fixture(scope="module")
def behind(conf: Settings, store: Store) -> Iterator[Flask]:
    """The app behind a trusted proxy, with short requests, so that leases end while we look."""
    app = create_app(
        msgspec.structs.replace(
            conf,
            database_uri=store.options.uri,
            trusted_proxies="127.0.0.1/32",
        )
    )
    yield app
    app.extensions["store"].close()


@pytest.fixture(scope="module")
def owner(behind: Flask) -> dict[str, Any]:
    return sign_up(behind.test_client(), make_person())


@pytest.fixture
def client(behind: Flask) -> FlaskClient:
    return behind.test_client()


@pytest.fixture
def me(owner: dict[str, Any]) -> Headers:
    found: Headers = owner["headers"]
    return found


@pytest.fixture
def key() -> Headers:
    return {"Idempotency-Key": secrets.token_hex(8)}


@pytest.fixture
def mine(me: Headers, key: Headers) -> Headers:
    """The headers of a request of mine that has a key."""
    return {**me, **key}


@pytest.fixture
def url(client: FlaskClient, me: Headers) -> str:
    """A project at version 1."""
    return client.post(PROJECTS, json={"name": "X"}, headers=me).headers["Location"]


def stored(store: Store, url: str) -> dict[str, Any]:
    found = store.collection("projects").find_one({"_id": ObjectId(url.rpartition("/")[2])})
    assert found is not None
    return found


@pytest.mark.parametrize("change", CHANGES, ids=["PATCH", "PUT"])
@pytest.mark.parametrize("name", [{}, {"X-Proxy-Request": str(uuid.uuid4())}], ids=["", "proxied"])
def test_another_change_in_between(
    client: FlaskClient, mine: Headers, url: str, change: Change, name: Headers
) -> None:
    """The repetition is answered with the document as it is now; the other change stays."""
    (method, body), headers = change, {**mine, **name}
    first = client.open(url, method=method, json=body, headers=headers)
    assert (first.status_code, first.json["description"]) == (200, "mine")
    assert "Idempotent-Replayed" not in first.headers
    without = {"Authorization": mine["Authorization"]}
    client.patch(url, json={"description": "theirs"}, headers=without)
    again = client.open(url, method=method, json=body, headers=headers)
    assert (again.status_code, again.json["description"]) == (200, "theirs")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.json["version"], again.headers["ETag"]) == (3, '"3"')


@pytest.mark.parametrize("change", CHANGES, ids=["PATCH", "PUT"])
def test_another_body(client: FlaskClient, mine: Headers, url: str, change: Change) -> None:
    method, body = change
    assert client.open(url, method=method, json=body, headers=mine).status_code == 200
    other = client.open(url, method=method, json={"name": "Z"}, headers=mine)
    assert (other.status_code, other.json["type"].rpartition(":")[2]) == (422, "key-reused")
    assert client.get(url, headers=mine).json["version"] == 2


def test_a_key_lasts_through_many_other_changes(
    client: FlaskClient, me: Headers, key: Headers, url: str, store: Store
) -> None:
    """Also where all of them have keys of their own; and the document does not grow with them."""
    headers = {**me, **key}
    client.patch(url, json={"description": "mine"}, headers=headers)
    for n in range(3 * replay.MOST_KEYED):
        other = {**me, "Idempotency-Key": secrets.token_hex(8)}
        assert client.patch(url, json={"description": f"{n}"}, headers=other).status_code == 200
    again = client.patch(url, json={"description": "mine"}, headers=headers)
    assert again.json["description"] == f"{3 * replay.MOST_KEYED - 1}"
    assert len(stored(store, url)["keyed"]) <= replay.MOST_KEYED


def test_a_key_lasts_through_many_changes_although_its_record_was_not_finished(
    client: FlaskClient, me: Headers, key: Headers, url: str, store: Store
) -> None:
    """The worker died behind its change: whoever removes its mark finishes its record before."""
    headers = {**me, **key}
    client.patch(url, json={"description": "mine"}, headers=headers)
    records = store.collection("idempotency")
    mark = stored(store, url)["keyed"][0]
    records.update_one({"_id": mark["key"]}, {"$set": {"state": "begun"}})
    for n in range(2 * replay.MOST_KEYED):
        other = {**me, "Idempotency-Key": secrets.token_hex(8)}
        client.patch(url, json={"description": f"{n}"}, headers=other)
    assert mark not in stored(store, url)["keyed"]
    again = client.patch(url, json={"description": "mine"}, headers=headers)
    assert again.json["description"] == f"{2 * replay.MOST_KEYED - 1}"


def test_a_condition_that_the_change_itself_has_ended(
    client: FlaskClient, me: Headers, key: Headers, url: str
) -> None:
    headers = {**me, **key, "If-Match": '"1"'}
    first = client.patch(url, json={"description": "mine"}, headers=headers)
    again = client.patch(url, json={"description": "mine"}, headers=headers)
    assert (again.status_code, again.json) == (200, first.json)


def test_a_refusal_frees_the_key(client: FlaskClient, me: Headers, key: Headers, url: str) -> None:
    headers = {**me, **key}
    stale = client.patch(url, json={"name": "Y"}, headers={**headers, "If-Match": '"7"'})
    assert stale.status_code == 412
    assert client.patch(url, json={"name": "Z"}, headers=headers).status_code == 200


def test_a_state(client: FlaskClient, admin: Headers, key: Headers) -> None:
    where = register(client, form()).headers["Location"]
    body, headers = {"state": "reached_out"}, {**admin, **key}
    first = client.patch(where, json=body, headers=headers)
    again = client.patch(where, json=body, headers=headers)
    assert (first.status_code, first.json) == (200, again.json)
    assert client.patch(where, json=body, headers=admin).status_code == 409


def test_a_unique_value(client: FlaskClient, admin: Headers, key: Headers) -> None:
    person = sign_up(client, make_person())
    emails = [make_person()["email"] for _ in range(2)]
    headers = {**admin, **key}
    for other in ({}, {}, {"email": emails[1]}, {}):
        if other:
            assert client.patch(person["url"], json=other, headers=admin).status_code == 200
        else:
            answer = client.patch(person["url"], json={"email": emails[0]}, headers=headers)
            assert answer.status_code == 200
    assert answer.json["email"] == emails[1]


@pytest.mark.parametrize("who", ["owner", "administrator"])
def test_a_deletion(client: FlaskClient, mine: Headers, admin: Headers, url: str, who: str) -> None:
    headers = {**mine, **(admin if who == "administrator" else {})}
    assert [client.delete(url, headers=headers).status_code for _ in range(3)] == [204] * 3
    for stranger in (mine, admin):
        without = {"Authorization": stranger["Authorization"]}
        assert client.delete(url, headers=without).status_code == 404
        assert client.get(url, headers=without).status_code == 404
    missing = f"{PROJECTS}/{ObjectId()}"
    assert client.delete(missing, headers=headers).status_code == 404


def test_what_was_deleted_since(client: FlaskClient, me: Headers, key: Headers, url: str) -> None:
    headers = {**me, **key}
    client.patch(url, json={"name": "Y"}, headers=headers)
    client.delete(url, headers=me)
    assert client.patch(url, json={"name": "Y"}, headers=headers).status_code == 404


def test_strangers_leave_nothing(
    client: FlaskClient, bob: dict[str, Any], key: Headers, url: str, store: Store
) -> None:
    headers = {**bob["headers"], **key}
    for _ in range(2):
        assert client.patch(url, json={"name": "Y"}, headers=headers).status_code == 404
        assert client.delete(url, headers=headers).status_code == 404
    assert not {"keyed", "marks"} & stored(store, url).keys()


def test_many_at_once(behind: Flask, me: Headers, key: Headers, url: str) -> None:
    barrier = threading.Barrier(8)

    def send(_: int) -> int:
        barrier.wait()
        answer = behind.test_client().patch(url, json={"name": "Y"}, headers={**me, **key})
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(8))) <= {200, 409}
    assert behind.test_client().get(url, headers=me).json["version"] == 2


@pytest.mark.parametrize("kind", ["PATCH", "unique", "DELETE"])
def test_a_first_worker_that_was_given_up(
    client: FlaskClient, mine: Headers, admin: Headers, seam: Any, kind: str
) -> None:
    """The proxy sends the request again: that one writes, the slow one never, however late."""
    who = admin if kind == "unique" else {"Authorization": mine["Authorization"]}
    key = {"Idempotency-Key": mine["Idempotency-Key"]}
    body = {"email": make_person()["email"]} if kind == "unique" else {"name": "mine"}
    if kind == "unique":
        url = sign_up(client, make_person())["url"]
    else:
        url = client.post(PROJECTS, json={"name": "X"}, headers=who).headers["Location"]
    headers = {**who, **key, "X-Proxy-Request": str(uuid.uuid4())}
    method = "DELETE" if kind == "DELETE" else "PATCH"
    seen: list[Any] = []

    def give_up(name: str, collection: str, _command: dict[str, Any]) -> None:
        if name == "findAndModify" and collection in ("projects", "users") and not seen:
            seen.append(0)  # the first worker stands still here, before its write
            other = client.application.test_client()
            waiting = other.open(url, method=method, json=body, headers={**who, **key})
            seen.append(waiting.status_code)  # a consumer's own repetition has to wait
            again = other.open(url, method=method, json=body, headers=headers)
            seen.append(again.status_code)
            if method == "PATCH":
                seen.append(other.patch(url, json={"name": "theirs"}, headers=who).json["version"])

    with seam.hooked(before=give_up):
        first = client.open(url, method=method, json=body, headers=headers)
    now = client.get(url, headers=who)
    if method == "DELETE":
        assert seen == [0, 409, 204]
        assert (first.status_code, now.status_code) == (404, 404)
    else:
        assert seen == [0, 409, 200, 3]
        assert first.status_code == 503  # overtaken; nobody sees it
        assert (now.json["version"], now.json["name"]) == (3, "theirs")
        assert client.open(url, method=method, json=body, headers=headers).json["version"] == 3


# --- crashes ------------------------------------------------------------------------------------

SHORT = 2.0  # seconds of a request, so that leases run out while we look
LEASE = SHORT + 2.0
STEPS = 7  # writes of a request, at most


@pytest.fixture(scope="module")
def mortal(
    environment: dict[str, str], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server whose workers can be made to die; see crash_server.py."""
    assert store
    log = tmp_path_factory.mktemp("mortal-changes") / "log"
    short = {**environment, "SHARDSTACK_REQUEST_DEADLINE": str(SHORT)}
    with running(short, log, [str(Path(__file__).with_name("crash_server.py"))]) as server:
        yield server


class Case:
    """One request that a worker dies of, after so many writes."""

    def __init__(self, client: FlaskClient, who: Headers, kind: str, steps: int) -> None:
        self.who, self.kind = who, kind
        self.method = "PATCH" if kind == "unique" else kind
        self.body: dict[str, str] | None = {"name": "mine"}
        if kind == "unique":
            self.url = sign_up(client, make_person())["url"]
            self.body = {"name": "mine", "email": make_person()["email"]}
        else:
            made = client.post(PROJECTS, json={"name": "X"}, headers=who)
            self.url = made.headers["Location"]
        if kind == "DELETE":
            self.body = None
        self.headers = {**who, "Idempotency-Key": secrets.token_hex(8)}
        self.crash = {**self.headers, "X-Crash-After": str(steps)}

    def send(self, server: str, headers: Headers) -> requests.Response:
        return requests.request(
            self.method, f"{server}{self.url}", json=self.body, headers=headers, timeout=20
        )

    def repeat(self, server: str) -> requests.Response:
        """As a consumer does: until it is answered for good."""
        end = time.monotonic() + LEASE + 30
        while True:
            with suppress(requests.ConnectionError):
                answer = self.send(server, self.headers)
                if answer.status_code not in (409, 503):
                    return answer
            assert time.monotonic() < end
            time.sleep(0.2)


@pytest.mark.long
@pytest.mark.core
@pytest.mark.parametrize("kind", ["PATCH", "PUT", "unique", "DELETE"])
def test_a_crash_at_every_step(
    mortal: RunningServer, client: FlaskClient, me: Headers, admin: Headers, kind: str
) -> None:
    """Then another's change, then the repetition: each of the two was applied once."""
    who = admin if kind in ("unique", "DELETE") else me
    cases = [Case(client, who, kind, steps) for steps in range(STEPS)]
    crashed = 0
    for case in cases:
        mortal.wait_ready()
        try:
            assert case.send(mortal.url, case.crash).ok
        except requests.ConnectionError:
            crashed += 1
    assert crashed >= 3  # the record, the document, "done"
    mortal.wait_ready()
    if kind == "DELETE":
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda case: case.repeat(mortal.url).status_code, cases))
        assert found == [204] * STEPS
        return
    applied = []
    for case in cases:
        theirs = client.patch(case.url, json={"name": "theirs"}, headers=who).json
        applied.append(theirs["version"] == 3)
    with ThreadPoolExecutor(4) as pool:
        shown = [answer.json() for answer in pool.map(lambda c: c.repeat(mortal.url), cases)]
    assert [one["version"] for one in shown] == [3] * STEPS
    assert [one["name"] == "theirs" for one in shown] == applied
    assert set(applied) == {False, True}
    for case, before in zip(cases, shown, strict=True):
        assert case.repeat(mortal.url).json() == before

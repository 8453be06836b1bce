"""Idempotency-Key: however often a POST is sent, and whatever dies, there is one document."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from api.resources import USERS
from api.resources.projects import PROJECTS as DECLARED
from api.store import Documents, Store
from api.store.deadline import deadline
from api.store.errors import KeyBusyError, OvertakenError
from api.store.replay import COLLECTION, IdempotencyKeys, TookEffect
from tests.helpers.api import RunningServer, log_in, make_person, running, sign_up

PROJECTS, SIGNUP = "/api/v1/projects", "/api/v1/auth/signup"


@pytest.fixture(scope="module")
def owner(app: Flask) -> dict[str, Any]:
    return sign_up(app.test_client(), make_person())


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


@pytest.fixture
def projects(store: Store) -> Documents:
    return DECLARED.documents(store)


def named(projects: Documents, name: str) -> list[dict[str, Any]]:
    return list(projects.collection.find({"name": name}))


def test_sent_again(
    client: FlaskClient, owner: dict[str, Any], key: dict[str, str], projects: Documents
) -> None:
    headers, name = {**owner["headers"], **key}, f"P {ObjectId()}"
    first = client.post(PROJECTS, json={"name": name, "status": "active"}, headers=headers)
    assert "Idempotent-Replayed" not in first.headers
    again = client.post(PROJECTS, data=f'{{"status":"active","name":" {name} "}}',
                        content_type="application/json", headers=headers)  # fmt: skip
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    quoted = {**owner["headers"], "Idempotency-Key": f'"{key["Idempotency-Key"]}"'}
    body = {"name": name, "status": "active"}
    assert client.post(PROJECTS, json=body, headers=quoted).json == first.json
    assert len(named(projects, name)) == 1


def test_another_body_is_another_request(
    client: FlaskClient, owner: dict[str, Any], key: dict[str, str], projects: Documents
) -> None:
    headers, name = {**owner["headers"], **key}, f"P {ObjectId()}"
    assert client.post(PROJECTS, json={"name": "X"}, headers=headers).status_code == 201
    other = client.post(PROJECTS, json={"name": name}, headers=headers)
    assert (other.status_code, other.json["type"].rpartition(":")[2]) == (422, "key-reused")
    assert not named(projects, name)


def test_nobody_meets_anothers_key(
    client: FlaskClient, owner: dict[str, Any], bob: dict[str, Any], key: dict[str, str]
) -> None:
    ids = {
        client.post(PROJECTS, json={"name": "X"}, headers={**who["headers"], **key}).json["id"]
        for who in (owner, bob)
    }
    assert len(ids) == 2


@pytest.mark.parametrize("given", ["", " ", "a b", '"', '""', '"a', "x" * 256, "\xe9", "a\\b"])
def test_malformed_keys(client: FlaskClient, owner: dict[str, Any], given: str) -> None:
    headers = {**owner["headers"], "Idempotency-Key": given}
    answer = client.post(PROJECTS, json={"name": "X"}, headers=headers)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json["detail"]


def test_signing_up_twice(
    client: FlaskClient, person: dict[str, str], key: dict[str, str], store: Store
) -> None:
    first = client.post(SIGNUP, json=person, headers=key)
    again = client.post(SIGNUP, json=person, headers=key)
    assert (first.status_code, again.status_code, again.json) == (201, 201, first.json)
    other = client.post(SIGNUP, json={**person, "password": "another-password-1"}, headers=key)
    assert other.status_code == 422
    records = list(store.collection(COLLECTION).find({"effect": ObjectId(first.json["id"])}))
    assert len(records) == 1
    assert set(records[0]) == {"_id", "fingerprint", "effect", "state", "at", "expires"}
    assert key["Idempotency-Key"] not in str(records)
    assert person["password"] not in str(records)


def test_a_refusal_frees_the_key(
    client: FlaskClient, person: dict[str, str], owner: dict[str, Any], key: dict[str, str]
) -> None:
    taken = {**person, "email": owner["user"]["email"]}
    assert client.post(SIGNUP, json=taken, headers=key).status_code == 409
    assert client.post(SIGNUP, json=person, headers=key).status_code == 201


def test_what_was_deleted_stays_deleted(
    client: FlaskClient, owner: dict[str, Any], key: dict[str, str]
) -> None:
    headers = {**owner["headers"], **key}
    made = client.post(PROJECTS, json={"name": "X"}, headers=headers)
    assert client.delete(made.headers["Location"], headers=headers).status_code == 204
    assert client.post(PROJECTS, json={"name": "X"}, headers=headers).status_code == 410


@pytest.mark.parametrize("what", ["project", "sign-up"])
def test_many_at_once(
    app: Flask, owner: dict[str, Any], key: dict[str, str], person: dict[str, str], what: str
) -> None:
    url, body = (PROJECTS, {"name": "X"}) if what == "project" else (SIGNUP, person)
    headers = {**owner["headers"], **key}
    barrier = threading.Barrier(8)

    def send(_: int) -> tuple[int, str | None]:
        barrier.wait()
        answer = app.test_client().post(url, json=body, headers=headers)
        if answer.status_code == 409:
            assert answer.json["type"].endswith(":key-busy")
            assert answer.headers["Retry-After"]
        return answer.status_code, answer.json.get("id")

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(send, range(8)))
    assert {status for status, _ in done} <= {201, 409}
    made = {document_id for status, document_id in done if status == 201}
    assert len(made) == 1
    again = app.test_client().post(url, json=body, headers=headers)
    assert (again.status_code, again.json["id"]) == (201, *made)


# --- the slow one, and the one that takes over --------------------------------------------------


def fenced(documents: Documents, shard_key: dict[str, Any]) -> TookEffect:
    """As creating does it."""
    return lambda _key, effect: documents.fence(effect, shard_key) is not None


def first_holds(
    seam: Any, keys: IdempotencyKeys, documents: Documents, fields: dict[str, Any], name: str
) -> Any:
    """Begins as the first, stops before its insert; returns what lets it go on, and its outcome."""
    shard_key = {field: fields[field] for field in ("owner",) if field in fields}
    reached, go = threading.Event(), threading.Event()
    outcome: list[Any] = []

    def before(command: str, collection: str, _sent: Any) -> None:
        if (command, collection) == ("insert", documents.name):
            reached.set()
            assert go.wait(30)

    def run() -> None:
        with deadline(30):
            ticket = keys.begin(name, [b"f"], fenced(documents, shard_key))
            try:
                with seam.hooked(before=before):
                    outcome.append(documents.create(fields, ticket.effect))
            except Exception as error:  # noqa: BLE001 - the test looks at it
                outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert reached.wait(20)

    def release() -> Any:
        go.set()
        thread.join(30)
        return outcome[0]

    return shard_key, release


@pytest.mark.parametrize("what", ["project", "user"])
@pytest.mark.parametrize("deleted", [False, True], ids=["kept", "deleted"])
def test_a_slow_first_one_cannot_come_after_its_repetition(
    seam: Any, store: Store, what: str, deleted: bool
) -> None:
    """Nor bring back what was deleted in between, without claims."""
    mark = secrets.token_hex(6)
    documents = (DECLARED if what == "project" else USERS).documents(store)
    fields = (
        {"name": mark, "owner": ObjectId()}
        if what == "project"
        else {"name": mark, "email": f"{mark}@example.com", "national_id": mark}
    )
    # To one the lease of the first still runs, to the other it has run out, whatever the time.
    patient, keys = (IdempotencyKeys(store, lifetime=60, lease=lease) for lease in (60, 0))
    shard_key, release = first_holds(seam, keys, documents, fields, mark)
    try:
        with deadline(20):
            with pytest.raises(KeyBusyError):
                patient.begin(mark, [b"f"], fenced(documents, shard_key))
            ticket = keys.begin(mark, [b"f"], fenced(documents, shard_key))
            assert not ticket.done
            made = documents.create(fields, ticket.effect)
            keys.finish(ticket)
            if deleted:
                assert documents.delete(made["_id"], where=shard_key)
    finally:
        slow = release()
    assert isinstance(slow, OvertakenError)
    left = [d["_id"] for d in documents.collection.find({"name": mark})]
    assert left == ([] if deleted else [made["_id"]])
    again = keys.begin(mark, [b"f"], fenced(documents, shard_key))
    assert (again.done, again.effect) == (True, made["_id"])
    if deleted and what == "user":
        with deadline(20):
            assert documents.create(fields)["name"] == mark  # its values are free


# --- crashes ------------------------------------------------------------------------------------

SHORT = 2.0  # seconds of a request, so that leases run out while we look
LEASE = SHORT + 2.0


@pytest.fixture(scope="module")
def mortal(
    environment: dict[str, str], store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server whose workers can be made to die; see crash_server.py."""
    assert store
    log = tmp_path_factory.mktemp("mortal-keys") / "log"
    short = {**environment, "SHARDSTACK_REQUEST_DEADLINE": str(SHORT)}
    with running(short, log, [str(Path(__file__).with_name("crash_server.py"))]) as server:
        yield server


@pytest.mark.long
@pytest.mark.core
def test_a_crash_at_every_step(
    mortal: RunningServer, owner: dict[str, Any], store: Store, client: FlaskClient
) -> None:
    """A repetition makes whole whatever was left: exactly one document, and no second one ever."""
    cases = []
    for writes in range(4):  # the record, the document, "done"
        mark = {"Idempotency-Key": secrets.token_hex(8), "X-Crash-After": str(writes)}
        body = {"name": f"K {secrets.token_hex(6)}"}
        cases.append((PROJECTS, {**owner["headers"], **mark}, body, "projects", body))
    for writes in range(6):  # the claims, and the event in the audit trail, besides
        mark = {"Idempotency-Key": secrets.token_hex(8), "X-Crash-After": str(writes)}
        person = make_person()
        cases.append((SIGNUP, mark, person, "users", {"email": person["email"]}))
    crashed = 0
    for url, headers, body, _, _ in cases:
        mortal.wait_ready()
        try:
            answer = requests.post(f"{mortal.url}{url}", json=body, headers=headers, timeout=20)
            assert answer.status_code in (201, 503), answer.text
        except requests.ConnectionError:
            crashed += 1
    assert crashed >= 3 + 4
    mortal.wait_ready()

    def again(case: Any) -> str:
        url, headers, body, _, _ = case
        sent = {name: text for name, text in headers.items() if name != "X-Crash-After"}
        end = time.monotonic() + LEASE + 15
        last = ""
        while True:
            with suppress(requests.ConnectionError):
                answer = requests.post(f"{mortal.url}{url}", json=body, headers=sent, timeout=20)
                if answer.status_code == 201:
                    return str(answer.json()["id"])
                assert answer.status_code in (409, 503), answer.text
                last = answer.text
            assert time.monotonic() < end, (headers, last)
            time.sleep(0.2)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(again, cases))
        assert list(pool.map(again, cases)) == made
    for (_, _, _, collection, query), document_id in zip(cases, made, strict=True):
        found = list(store.collection(collection).find(query))
        assert [str(document["_id"]) for document in found] == [document_id]
    emails = [body["email"] for _, _, body, collection, _ in cases if collection == "users"]
    assert Counter(bool(log_in(client, email)) for email in emails) == {True: len(emails)}

"""Sample data by a click: into an empty system alone, and repeated it changes nothing."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from api import schema, setup
from api.app import create_app
from api.samples import data
from api.settings import Settings
from api.store import Store
from api.store.deadline import deadline
from cluster.local.cluster import LocalCluster
from tests.helpers.api import PASSWORD, log_in

URL = "/api/v1/samples"
ALL = {"users": 1000, "projects": 40, "leads": 25}
NONE = dict.fromkeys(ALL, 0)


@pytest.fixture(scope="module")
def empty(cluster: LocalCluster, conf: Settings) -> Iterator[Flask]:
    """The app over a database of its own, in which there is nobody yet."""
    name = f"samples_{secrets.token_hex(4)}"
    uri = cluster.uri("admin").replace("/?", f"/{name}?")
    conf = msgspec.structs.replace(conf, database_uri=uri)
    store = Store(conf.store_options())
    with deadline(60):
        schema.apply(store)
    app = create_app(conf)
    yield app
    app.extensions["store"].close()
    store.database.client.drop_database(name)
    store.close()


@pytest.fixture(scope="module")
def its_admin(empty: Flask) -> dict[str, str]:
    email = f"admin-{secrets.token_hex(4)}@example.com"
    setup.ensure_admin(empty.extensions["store"], email, PASSWORD)
    return log_in(empty.test_client(), email)


def everything(store: Store) -> dict[str, Any]:
    """A digest of each collection that holds samples, files included."""
    names = ("users", "projects", "leads", "claims", "fs.files", "fs.chunks")
    found = {}
    for name in names:
        documents = sorted(repr(one) for one in store.collection(name).find({}, {"sessions": 0}))
        found[name] = (len(documents), hashlib.sha256("".join(documents).encode()).hexdigest())
    return found


def test_loads_once(empty: Flask, its_admin: dict[str, str]) -> None:
    client, store = empty.test_client(), empty.extensions["store"]
    made = client.post(URL, headers=its_admin)
    assert made.status_code == 200, made.json
    assert made.json == {"created": ALL, "existing": NONE, "refused": NONE}
    before = everything(store)
    again = client.post(URL, headers=its_admin)
    assert again.json == {"created": NONE, "existing": ALL, "refused": NONE}
    assert everything(store) == before

    page = client.get("/api/v1/projects?limit=100&fields=owner,members", headers=its_admin).json
    assert page is not None
    people = {one for item in page["items"] for one in (item["owner"], *item["members"])}
    assert len(page["items"]) == 40
    for one in people:
        assert client.get(f"/api/v1/users/{one}", headers=its_admin).status_code == 200

    leads = client.get("/api/v1/leads?limit=100", headers=its_admin).json
    assert leads is not None
    assert {one["state"] for one in leads["items"]} == {"pending"}
    lead = next(one for one in leads["items"] if one["email"] == data.sample_lead(3)["email"])
    resume = client.get(f"/api/v1/leads/{lead['id']}/resume", headers=its_admin)
    assert resume.data == data.sample_resume(3)
    assert store.collection("fs.files").count_documents({"unsettled": {"$exists": True}}) == 0
    events = client.get("/api/v1/audit?event=samples.load", headers=its_admin).json
    assert events is not None
    assert [one["outcome"] for one in events["items"]] == ["done", "done"]


def test_what_is_missing_is_made_good(empty: Flask, its_admin: dict[str, str]) -> None:
    client = empty.test_client()
    client.post(URL, headers=its_admin)
    email = data.sample_lead(0)["email"]
    page = client.get(f"/api/v1/leads?email={email}", headers=its_admin).json
    assert page is not None
    lead = page["items"][0]["id"]
    assert client.delete(f"/api/v1/leads/{lead}", headers=its_admin).status_code == 204
    again = client.post(URL, headers=its_admin).json
    assert again is not None
    assert again["created"] == {**NONE, "leads": 1}


def test_two_at_once(empty: Flask, its_admin: dict[str, str]) -> None:
    """Each sample is made once, whoever makes it."""
    store = empty.extensions["store"]
    store.collection("projects").delete_many({})
    with ThreadPoolExecutor(2) as pool:
        calls = [
            pool.submit(lambda: empty.test_client().post(URL, headers=its_admin)) for _ in range(2)
        ]
        answers = [call.result().json for call in calls]
    assert sum(one["created"]["projects"] for one in answers if one is not None) == 40
    assert store.collection("projects").count_documents({}) == 40


@pytest.mark.parametrize("what", ["users", "projects", "leads"])
def test_not_beside_other_data(empty: Flask, its_admin: dict[str, str], what: str) -> None:
    client, store = empty.test_client(), empty.extensions["store"]
    client.post(URL, headers=its_admin)
    made: Any
    if what == "users":
        body = {"name": "Ada", "email": "ada@example.org", "national_id": "AL-1815-12"}
        made = client.post("/api/v1/users", json=body, headers=its_admin)
    elif what == "projects":
        made = client.post("/api/v1/projects", json={"name": "Mine"}, headers=its_admin)
    else:
        form = {"first_name": "Ada", "last_name": "L", "email": "ada@example.org"}
        file = (BytesIO(data.pdf(["Ada"])), "cv.pdf", "application/pdf")
        made = client.post("/api/v1/leads", data={**form, "resume": file})
    assert made.status_code == 201, made.json
    before = everything(store)
    refused: Any = client.post(URL, headers=its_admin)
    assert (refused.status_code, refused.json["type"]) == (409, "urn:shardstack:problem:not-empty")
    assert what in refused.json["detail"]
    assert everything(store) == before
    url = f"/api/v1/{what}/{made.json['id']}"
    assert client.delete(url, headers=its_admin).status_code == 204
    assert client.post(URL, headers=its_admin).status_code == 200


def test_administrators_only(client: FlaskClient, ada: dict[str, Any]) -> None:
    assert client.post(URL).status_code == 401
    assert client.post(URL, headers=ada["headers"]).status_code == 403

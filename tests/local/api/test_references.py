"""References to another resource: checked when they are written; what a deletion does to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from msgspec import Struct

from api.crud.access import Access, Who
from api.crud.fields import Id, OnDelete, refers
from api.crud.resource import Index, Resource
from api.settings import Settings
from api.store import Store
from api.web import text as texts
from tests.helpers.api import serving

SHELVES, BOOKS = "/api/v1/shelves", "/api/v1/books"
NOWHERE = "665f1f77bcf86cd799439011"
NDJSON = "application/x-ndjson"
ADMIN = Access(get=Who.ADMIN, change=Who.ADMIN, delete=Who.ADMIN, bulk=Who.ADMIN)


class Shelf(Struct, kw_only=True):
    """A shelf."""

    name: Annotated[str, texts.line(50)]


class Book(Struct, kw_only=True):
    """A book."""

    title: Annotated[str, texts.line(50)]
    shelf: Annotated[Id, refers("shelves", OnDelete.REFUSE)] | None = None
    before: Annotated[Id, refers("shelves", OnDelete.CLEAR)] | None = None
    seen_on: Annotated[list[Id], refers("shelves", OnDelete.CLEAR)] = []
    first: Annotated[Id, refers("shelves")] | None = None
    sequel: Annotated[Id, refers("books", OnDelete.CLEAR)] | None = None


DECLARED = (
    Resource(name="shelves", fields=Shelf, access=ADMIN),
    Resource(name="books", fields=Book, access=ADMIN),
)


@pytest.fixture(scope="module")
def served(conf: Settings, store: Store) -> Iterator[Flask]:
    with serving(conf, store, *DECLARED) as app:
        yield app


@pytest.fixture
def client(served: Flask, admin: dict[str, str]) -> FlaskClient:
    client = served.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = admin["Authorization"]
    return client


def make(client: FlaskClient, url: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    answer = client.post(url, json=fields)
    assert answer.status_code == 201, answer.json
    return answer.headers["Location"], answer.json


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.json
    return [error["pointer"] for error in answer.json["errors"]]


def test_what_is_there_can_be_referred_to(client: FlaskClient) -> None:
    _, shelf = make(client, SHELVES, name="A")
    url, book = make(client, BOOKS, title="B", shelf=shelf["id"], seen_on=[shelf["id"]])
    assert (book["shelf"], book["seen_on"]) == (shelf["id"], [shelf["id"]])
    assert client.patch(url, json={"first": shelf["id"]}).json["first"] == shelf["id"]
    assert client.patch(url, json={"shelf": None}).json["shelf"] is None


def test_what_is_not_there_cannot(client: FlaskClient) -> None:
    _, shelf = make(client, SHELVES, name="A")
    wrong = {"title": "B", "shelf": NOWHERE, "seen_on": [shelf["id"], NOWHERE]}
    assert pointers(client.post(BOOKS, json=wrong)) == ["#/shelf", "#/seen_on/1"]
    url, book = make(client, BOOKS, title="B")
    assert pointers(client.patch(url, json={"first": NOWHERE})) == ["#/first"]
    assert pointers(client.patch(url, json={"sequel": shelf["id"]})) == ["#/sequel"]
    assert client.get(url).json == book
    lines = "\n".join(json.dumps(one) for one in (wrong, {"title": "C", "shelf": shelf["id"]}))
    report = client.post(f"{BOOKS}/import", data=lines, content_type=NDJSON).data.splitlines()
    assert json.loads(report[-1]) == {"created": 1, "refused": 1}


def test_a_deletion_is_refused_or_clears(client: FlaskClient) -> None:
    home, shelf = make(client, SHELVES, name="A")
    _, other = make(client, SHELVES, name="B")
    both = [shelf["id"], other["id"]]
    fields = {"shelf": shelf["id"], "before": shelf["id"], "seen_on": both, "first": shelf["id"]}
    url, book = make(client, BOOKS, title="B", **fields)
    refused = client.delete(home)
    assert (refused.status_code, refused.json["type"]) == (
        409,
        "urn:shardstack:problem:referred-to",
    )
    assert "books.shelf" in refused.json["detail"]
    assert client.get(url).json == book

    client.patch(url, json={"shelf": None})
    assert client.delete(home).status_code == 204
    left = client.get(url).json
    assert (left["before"], left["seen_on"], left["version"]) == (None, [other["id"]], 4)
    assert left["first"] == shelf["id"]  # kept, and leads nowhere


def test_a_deletion_finds_its_references_by_an_index() -> None:
    keys = {index.keys[0][0] for index in DECLARED[1].all_indexes}
    assert {"shelf", "before", "seen_on", "sequel"} <= keys
    assert "first" not in keys
    assert Index((("shelf", 1), ("_id", 1))) in DECLARED[1].all_indexes

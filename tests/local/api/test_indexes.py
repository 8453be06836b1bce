"""Every list of every resource, by every filter and sort: none reads more than it has to.

By explain of the very commands. What a list has to read is what its filter matches; where a page
ends before that, a page from each shard.
"""

import datetime
import secrets
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import msgspec
import pytest
from bson import ObjectId
from flask import Flask
from msgspec import Struct
from pymongo import MongoClient

from api import resources, schema
from api.app import create_app
from api.crud import values
from api.crud.access import Access, Who
from api.crud.fields import CREATE_ONLY, OWNER, READ_ONLY, UNIQUE, Id
from api.crud.resource import ORDERED, TEXT, Index, Resource
from api.settings import Settings
from api.store import Store
from api.store.deadline import deadline
from api.web import expected
from api.web import text as texts
from cluster.local.cluster import LocalCluster
from tests.helpers.api import DROPPED, make_person, sign_up

MANY = 300
OWN = 6  # of them
LIMIT = 5
MARK = "indexes"


class Card(Struct, kw_only=True):
    """A card."""

    number: Annotated[str, texts.line(50), UNIQUE, CREATE_ONLY]
    label: Annotated[str, texts.line(50)]
    owner: Annotated[Id, OWNER, READ_ONLY]


def cards() -> Resource:
    """Owned, and with a unique field: so it cannot be spread by its owner."""
    return Resource(
        name="cards",
        fields=Card,
        access=Access(list=Who.OWNER, create=Who.USER),
        filters={"label": TEXT, "created_at": ORDERED},
        sorts=("label",),
    )


def test_an_owner_gets_an_index() -> None:
    assert Index((("owner", 1), ("_id", 1))) in cards().all_indexes
    for one in resources.ALL:
        assert len(set(map(repr, one.all_indexes))) == len(one.all_indexes)


class Stage(NamedTuple):
    """An app with all resources, two people, and documents of which some are the first one's."""

    app: Flask
    store: Store
    all: tuple[Resource, ...]
    headers: dict[str, dict[str, str]]
    me: ObjectId


@pytest.fixture(scope="module")
def stage(conf: Settings, store: Store, admin: dict[str, str]) -> Iterator[Stage]:
    before = resources.ALL
    resources.ALL = (*before, cards())
    made = {one.name: ObjectId() for one in resources.ALL}
    app = None
    try:
        with deadline(60):
            schema.apply(store)
        app = create_app(msgspec.structs.replace(conf, database_uri=store.options.uri))
        me = sign_up(app.test_client(), make_person())
        own = ObjectId(me["user"]["id"])
        for one in resources.ALL:
            everything = [document(one, n, own) for n in range(MANY)]
            store.collection(one.name).insert_many(everything)
        who = {"admin": admin, "owner": me["headers"]}
        yield Stage(app, store, resources.ALL, who, own)
    finally:
        for name in made:
            store.collection(name).delete_many({MARK: True})
        store.database.drop_collection("cards")
        resources.ALL = before
        if app is not None:
            app.extensions["store"].close()


def document(resource: Resource, n: int, own: ObjectId) -> dict[str, Any]:
    found = {
        name: value(name, kind, n)
        for name, kind in values.hints(resource.read).items()
        if name != "id"
    }
    if resource.owner not in (None, "_id"):
        found[str(resource.owner)] = own if n % (MANY // OWN) == 0 else ObjectId()
    return {**resource.beginning(found), "_id": ObjectId(), MARK: True, "version": 1}


def value(name: str, kind: Any, n: int) -> Any:
    item = values.item(kind)
    if item is not None:
        return [value(name, item, n)]
    shape = values.struct(kind)
    if shape is not None:
        return {inner: value(inner, its, n) for inner, its in values.hints(shape).items()}
    plain = expected.plain(kind)
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(days=n)
    if isinstance(plain, type) and issubclass(plain, Enum):
        kinds = [member.value for member in plain]
        return kinds[n % len(kinds)]
    made = {
        datetime.date: day.date().isoformat(),
        datetime.datetime: day,
        bool: n % 60 == 0,
        int: n,
    }
    if values.is_id(kind):
        return ObjectId(f"{n + 1:024x}")
    unique = f"{n:04}.{secrets.token_hex(4)}"
    return made.get(plain, f"{unique}@example.com" if name == "email" else f"{name} {unique}")


@pytest.fixture(scope="module")
def costs(cluster: LocalCluster, store: Store) -> Iterator[Any]:
    """Of a command as it was sent: keys and documents that it reads, and whether it scans."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(cluster.uri("admin")) as client:
        database = client[store.database.name]

        def run(command: dict[str, Any]) -> tuple[int, int, bool]:
            kept = {name: text for name, text in command.items() if name not in DROPPED}
            found = database.command("explain", kept, verbosity="executionStats")
            stats = found["executionStats"]
            return (
                stats["totalKeysExamined"],
                stats["totalDocsExamined"],
                "COLLSCAN" in str(found["queryPlanner"]),
            )

        yield run


def queries(resource: Resource, sample: dict[str, Any]) -> Iterator[str]:
    """Each filter, each sort, and each filter with each sort."""
    filters = [
        f"{field}{'' if way == 'eq' else f'[{way}]'}={quote(text(sample[field]))}"
        for field, ways in resource.filters.items()
        for way in ways
    ]
    sorts = [f"sort={way}{field}" for field in resource.sortable for way in ("", "-")]
    yield from ("", *filters, *sorts)
    yield from (f"{one}&{sort}" for one in filters for sort in sorts if "[" not in one)


def text(stored: Any) -> str:
    if isinstance(stored, list):
        return text(stored[0])
    if isinstance(stored, datetime.datetime):
        return stored.isoformat()
    return str(stored).lower() if isinstance(stored, bool) else str(stored)


@pytest.mark.parametrize("who", ["admin", "owner"])
@pytest.mark.parametrize("name", [*(one.name for one in resources.ALL), "cards"])
def test_a_list_reads_what_it_has_to(
    stage: Stage, seam: Any, costs: Any, name: str, who: str
) -> None:
    [resource] = [one for one in stage.all if one.name == name]
    if resource.access.list is Who.ADMIN and who == "owner":
        return
    mine = {str(resource.owner): stage.me} if resource.owner not in (None, "_id") else {}
    sample = stage.store.collection(name).find_one({MARK: True, **mine})
    assert sample is not None
    sent: list[dict[str, Any]] = []

    def note(command: str, collection: str, whole: dict[str, Any]) -> None:
        if (command, collection) == ("find", name) and "sort" in whole:
            sent.append(whole)

    client, wrong = stage.app.test_client(), []
    for query in queries(resource, sample):
        with seam.hooked(before=note):
            url = f"/api/v1/{name}?limit={LIMIT}&{query}"
            answer = client.get(url, headers=stage.headers[who])
        assert answer.status_code == 200, (url, answer.json)
        command = sent.pop()
        matched = stage.store.collection(name).count_documents(command["filter"])
        enough = matched + 3 * (LIMIT + 2)  # from each of the shards a page, and one key behind it
        keys, documents, scanned = costs(command)
        if scanned or max(keys, documents) > enough:
            wrong.append((query, f"{keys} keys, {documents} documents for {matched}", scanned))
    assert not wrong

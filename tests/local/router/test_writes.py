"""Writes through the routers: to the right shard, once, with every error in its place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, InsertOne, MongoClient, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure
from pymongo.write_concern import WriteConcern

from cluster.local.cluster import LocalCluster
from cluster.servers.waiting import Waiter
from tests.helpers.routers import connect, fill

Documents = Collection[dict[str, Any]]
Client = MongoClient[dict[str, Any]]


@pytest.fixture(autouse=True)
def _fresh(sharded: Documents) -> Iterator[None]:
    yield
    fill(sharded)


def test_single_statements(sharded: Documents) -> None:
    assert sharded.insert_one({"_id": 900}).acknowledged
    assert sharded.update_one({"_id": 900}, {"$set": {"x": 1}}).modified_count == 1
    assert sharded.replace_one({"_id": 900}, {"y": 2}).modified_count == 1
    assert sharded.find_one({"_id": 900}) == {"_id": 900, "y": 2}
    assert sharded.delete_one({"_id": 900}).deleted_count == 1
    with pytest.raises(DuplicateKeyError):
        sharded.insert_one({"_id": 5})


def test_statements_over_all_shards(sharded: Documents) -> None:
    assert sharded.update_many({"group": 1}, {"$inc": {"k": 1}}).modified_count == 40
    assert sharded.count_documents({"k": 1}) == 40
    assert sharded.delete_many({"group": 2}).deleted_count == 40
    assert sharded.count_documents({}) == 160


def test_an_upsert_reports_what_it_made(sharded: Documents) -> None:
    result = sharded.update_one({"_id": "new"}, {"$set": {"x": 1}}, upsert=True)
    assert result.upserted_id == "new"
    assert sharded.update_one({"_id": "new"}, {"$set": {"x": 1}}, upsert=True).matched_count == 1


def test_a_statement_without_the_shard_key_is_refused(sharded: Documents) -> None:
    for attempt in (
        lambda: sharded.update_one({"group": 1}, {"$set": {"x": 1}}),
        lambda: sharded.delete_one({"group": 1}),
        lambda: sharded.update_one({"group": 1}, {"$set": {"x": 1}}, upsert=True),
        lambda: sharded.find_one_and_update({"group": 1}, {"$set": {"x": 1}}),
    ):
        with pytest.raises(OperationFailure, match="shard key") as failure:
            attempt()
        assert failure.value.code == 61
    assert sharded.count_documents({"x": 1}) == 0


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({"_id": bson.Regex("^a")}, {}),
        ({"_id": {"$in": ["ab", "ac"]}}, {}),
        ({"_id": "AB"}, {"collation": {"locale": "en", "strength": 2}}),
        ({"$and": [{"_id": bson.Regex("^a")}]}, {}),
        ({"_id": {"$eq": bson.Regex("^a")}}, {}),
    ],
    ids=repr,
)
def test_a_single_write_whose_id_may_be_several_is_refused(
    sharded: Documents, query: dict[str, Any], options: dict[str, Any]
) -> None:
    """Sent to every shard it would change a document on each of them."""
    sharded.insert_many([{"_id": f"a{n}"} for n in range(20)])
    for attempt in (
        lambda: sharded.update_one(query, {"$set": {"x": 1}}, **options),
        lambda: sharded.delete_one(query, **options),
        lambda: sharded.replace_one(query, {"x": 1}, **options),
        lambda: sharded.find_one_and_update(query, {"$set": {"x": 1}}, **options),
        lambda: sharded.bulk_write(
            [UpdateOne(query, {"$set": {"x": 1}}, **options)], ordered=False
        ),
    ):
        with pytest.raises((OperationFailure, BulkWriteError), match="shard key"):
            attempt()
    assert sharded.count_documents({"x": 1}) == 0
    assert sharded.count_documents({}) == 220


def test_an_id_that_stands_on_several_shards_is_written_once(
    client: Client, db: Database[dict[str, Any]]
) -> None:
    """Sharded by another key, an _id is unique on each shard only."""
    client.admin.command("shardCollection", f"{db.name}.by_x", key={"x": "hashed"})
    by_x = db["by_x"]
    twins: list[int] = []
    for n in range(40):
        try:
            by_x.insert_one({"_id": 1, "x": n})
        except DuplicateKeyError:
            continue
        twins.append(n)
    assert len(twins) == 2, "one on each shard"
    assert by_x.update_one({"_id": 1}, {"$set": {"y": 1}}).matched_count == 1
    assert by_x.count_documents({"y": 1}) == 1
    assert by_x.update_one({"_id": {"$eq": 2}}, {"$set": {"y": 1}}).matched_count == 0
    result = by_x.bulk_write(
        [UpdateOne({"_id": 1}, {"$inc": {"z": 1}}) for _ in range(3)], ordered=False
    )
    assert result.matched_count == 3
    assert sum(document.get("z", 0) for document in by_x.find()) == 3
    assert by_x.delete_one({"_id": 1}).deleted_count == 1
    assert by_x.count_documents({}) == 1
    by_x.drop()


@pytest.mark.long
def test_a_write_without_an_answer_is_not_lost_on_stale_routing(
    single_routers: list[Client], db: Database[dict[str, Any]]
) -> None:
    """w: 0 through a router that does not know that another one has made the collection anew."""
    one, other = single_routers
    namespace = f"{db.name}.silent"
    silent = other[db.name]["silent"]
    unacknowledged = one[db.name].get_collection("silent", write_concern=WriteConcern(w=0))

    def holds(query: dict[str, Any], number: int) -> None:
        Waiter(20).until(
            lambda: silent.count_documents(query) == number or None,
            lambda: f"{query}: {silent.count_documents(query)} documents, not {number}",
        )

    for x in range(5):
        other.admin.command("shardCollection", namespace, key={"_id": "hashed"})
        unacknowledged.insert_one({"_id": 0})
        holds({}, 1)
        unacknowledged.insert_many([{"_id": n} for n in range(1, 9)], ordered=False)
        holds({}, 9)
        silent.drop()
        other.admin.command("shardCollection", namespace, key={"_id": "hashed"})
        silent.insert_many([{"_id": n} for n in range(4)])
        unacknowledged.update_one({"_id": 1}, {"$set": {"x": x}})
        holds({"x": x}, 1)
        silent.drop()
        other.admin.command("shardCollection", namespace, key={"_id": "hashed"})
        silent.insert_many([{"_id": n} for n in range(4)])
        unacknowledged.delete_one({"_id": 1})
        holds({}, 3)
        silent.drop()


SILENT_WRITER = """
import os, sys
from pymongo import MongoClient, WriteConcern
uri, database = sys.stdin.read().split()
silent = MongoClient(uri)[database].get_collection("left", write_concern=WriteConcern(w=0))
for n in range(100):
    silent.insert_one({"_id": n})
os._exit(0)  # the system closes the connection
"""


def test_a_client_that_closes_after_its_last_write_loses_none(
    cluster: LocalCluster, db: Database[dict[str, Any]]
) -> None:
    """What waits behind the write being carried out is carried out, too."""
    stdin = f"{cluster.uri('admin')} {db.name}"
    subprocess.run([sys.executable, "-c", SILENT_WRITER], input=stdin, text=True, check=True)

    def arrived() -> bool | None:
        return db["left"].count_documents({}) == 100 or None

    Waiter(20).until(arrived, lambda: f"{db['left'].count_documents({})} of 100 have arrived")


def test_a_bulk_in_order_stops_at_the_first_error(sharded: Documents) -> None:
    with pytest.raises(BulkWriteError) as failure:
        sharded.insert_many([{"_id": n} for n in (801, 802, 3, 803)])
    assert [error["index"] for error in failure.value.details["writeErrors"]] == [2]
    assert failure.value.details["nInserted"] == 2
    assert sharded.find_one({"_id": 803}) is None


def test_a_bulk_in_any_order_reports_every_error(sharded: Documents) -> None:
    with pytest.raises(BulkWriteError) as failure:
        sharded.insert_many([{"_id": n} for n in (1, 801, 2, 802, 3)], ordered=False)
    assert [error["index"] for error in failure.value.details["writeErrors"]] == [0, 2, 4]
    assert {error["code"] for error in failure.value.details["writeErrors"]} == {11000}
    assert sharded.count_documents({"_id": {"$gte": 800}}) == 2


def test_a_mixed_bulk_counts_right(sharded: Documents) -> None:
    result = sharded.bulk_write(
        [
            InsertOne({"_id": "a"}),
            UpdateOne({"_id": "a"}, {"$set": {"x": 1}}),
            UpdateOne({"_id": "b"}, {"$set": {"x": 1}}, upsert=True),
            ReplaceOne({"_id": "a"}, {"x": 2}),
            DeleteOne({"_id": "b"}),
        ]
    )
    assert result.inserted_count == 1
    assert (result.modified_count, result.upserted_ids, result.deleted_count) == (2, {2: "b"}, 1)


def test_find_one_and_change(sharded: Documents) -> None:
    after = sharded.find_one_and_update(
        {"_id": 8}, {"$inc": {"k": 5}}, return_document=ReturnDocument.AFTER
    )
    assert after == {"_id": 8, "group": 3, "k": 5}
    assert sharded.find_one_and_delete({"_id": 8}) == after
    assert sharded.find_one({"_id": 8}) is None


@pytest.mark.parametrize("value", [0, -1.5, True, None, "é", b"x", {"a": {"b": [1]}}, 2**40])
def test_any_type_of_key_finds_its_shard_again(sharded: Documents, value: Any) -> None:
    key = {"t": value}
    sharded.insert_one({"_id": key, "mine": 1})
    assert sharded.find_one({"_id": key}) is not None
    assert sharded.delete_one({"_id": key}).deleted_count == 1


def test_a_key_whose_hash_only_a_member_knows(sharded: Documents) -> None:
    key = Decimal128("1.5")
    sharded.insert_one({"_id": key})
    assert sharded.find_one({"_id": key}) is not None
    assert sharded.update_one({"_id": key}, {"$set": {"x": 1}}).modified_count == 1
    assert sharded.delete_one({"_id": key}).deleted_count == 1


def test_bytes_of_documents_pass_unchanged(
    sharded: Documents, db: Database[dict[str, Any]]
) -> None:
    """Even a document with a field twice, which no dictionary can hold."""
    twice = bson.encode({"_id": 950, "a": 1})[:-1] + bson.encode({"a": 2})[4:]
    raw = RawBSONDocument(len(twice).to_bytes(4, "little") + twice[4:])
    db.command("insert", sharded.name, documents=[raw])
    options = bson.CodecOptions(document_class=RawBSONDocument)
    found = db.get_collection(sharded.name, codec_options=options).find_one({"_id": 950})
    assert found is not None
    assert found.raw == raw.raw


def test_an_insert_without_id_gets_one(sharded: Documents, db: Database[dict[str, Any]]) -> None:
    raw = RawBSONDocument(bson.encode({"nameless": 1}))
    assert db.command("insert", sharded.name, documents=[raw])["n"] == 1
    found = sharded.find_one({"nameless": 1})
    assert found is not None
    assert isinstance(found["_id"], bson.ObjectId)


@pytest.fixture
def alone(cluster: LocalCluster) -> Iterator[Client]:
    """A client whose sessions nobody uses afterwards."""
    port = next(node.port for node in cluster.nodes() if node.kind == "router")
    with connect(cluster, port) as client:
        yield client


def test_a_retried_write_is_applied_once(alone: Client, sharded: Documents) -> None:
    """The same transaction number again: the first answer again, and no second application."""
    update = {"q": {"_id": 1}, "u": {"$inc": {"k": 1}}}
    other = {"q": {"_id": 2}, "u": {"$inc": {"k": 1}}}
    change = {"query": {"_id": 3}, "update": {"$inc": {"k": 1}}, "new": True}
    commands: list[dict[str, Any]] = [
        {"insert": sharded.name, "documents": [{"_id": n} for n in range(700, 710)]},
        {"update": sharded.name, "updates": [update, other, update]},
        {"delete": sharded.name, "deletes": [{"q": {"_id": n}, "limit": 1} for n in (700, 701)]},
        {"findAndModify": sharded.name, **change},
    ]
    mine = alone[sharded.database.name]
    with alone.start_session() as session:
        for number, command in enumerate(commands, start=1):
            numbered = {**command, "txnNumber": Int64(number)}
            once = mine.command(numbered, session=session)
            again = mine.command(numbered, session=session)
            assert once.get("n", once.get("value")) == again.get("n", again.get("value"))
            assert "writeErrors" not in again
    assert sharded.count_documents({"_id": {"$gte": 700}}) == 8
    assert [sharded.find_one({"_id": n})["k"] for n in (1, 2, 3)] == [2, 1, 1]  # type: ignore[index]


def test_sessions_of_two_users_do_not_meet(
    cluster: LocalCluster, alone: Client, sharded: Documents
) -> None:
    """One user's session and transaction number do not answer another user's write."""
    alone.admin.command("createUser", "twin", pwd="a-long-password", roles=["readWriteAnyDatabase"])
    who = {"username": "twin", "password": "a-long-password"}
    insert = {"insert": sharded.name, "txnNumber": Int64(1)}
    db = sharded.database.name
    try:
        with (
            connect(cluster, alone.address[1], **who) as other,  # type: ignore[index]
            alone.start_session() as session,
            other.start_session() as stolen,
        ):
            alone[db].command({**insert, "documents": [{"_id": 970}]}, session=session)
            other.admin.command("ping", session=stolen)
            stolen._server_session.session_id = session.session_id  # a session of the same name
            other[db].command({**insert, "documents": [{"_id": 971}]}, session=stolen)
        assert sharded.count_documents({"_id": {"$gte": 970}}) == 2
    finally:
        alone.admin.command("dropUser", "twin")


def test_a_write_to_nothing_creates_it(client: Client, db: Database[dict[str, Any]]) -> None:
    fresh = client[db.name + "x"]
    fresh["new"].insert_one({"_id": 1})
    assert fresh["new"].find_one() == {"_id": 1}
    client.drop_database(fresh.name)
    assert fresh["new"].find_one() is None


def test_explained_writes_touch_one_shard_and_change_nothing(
    sharded: Documents, db: Database[dict[str, Any]]
) -> None:
    for command in (
        {"update": sharded.name, "updates": [{"q": {"_id": 5}, "u": {"$set": {"x": 1}}}]},
        {"delete": sharded.name, "deletes": [{"q": {"_id": 5}, "limit": 1}]},
        {"findAndModify": sharded.name, "query": {"_id": 5}, "remove": True},
    ):
        plan = db.command("explain", command, verbosity="executionStats")
        assert len(plan["queryPlanner"]["winningPlan"]["shards"]) == 1
        assert plan["executionStats"]["totalDocsExamined"] == 1
    assert sharded.find_one({"_id": 5}) == {"_id": 5, "group": 0}

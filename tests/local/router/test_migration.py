"""Chunks that move while a router believes something else."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from tests.helpers.routers import chunks

Documents = Collection[dict[str, Any]]
Client = MongoClient[dict[str, Any]]


def move(client: Client, namespace: str, position: int) -> None:
    """Move the chunk at a position to the other shard."""
    chunk = chunks(client, namespace)[position]
    other = "shard-2" if chunk["shard"] == "shard-1" else "shard-1"
    client.admin.command("moveRange", namespace, min=chunk["min"], max=chunk["max"], toShard=other)


@pytest.mark.long
def test_a_router_that_was_not_told_finds_every_document(
    single_routers: list[Client], sharded: Documents
) -> None:
    told, untold = single_routers
    view = untold[sharded.database.name][sharded.name]
    assert view.count_documents({}) == 200
    move(told, sharded.full_name, 0)
    assert [view.find_one({"_id": n}, ["group"]) for n in range(200)] == [
        {"_id": n, "group": n % 5} for n in range(200)
    ]
    move(told, sharded.full_name, 0)
    assert view.update_many({}, {"$inc": {"k": 1}}).modified_count == 200
    move(told, sharded.full_name, 0)
    view.insert_many([{"_id": n} for n in range(300, 400)])
    assert view.count_documents({}) == 300
    assert view.delete_many({"_id": {"$gte": 300}}).deleted_count == 100
    view.update_many({}, {"$unset": {"k": ""}})


@pytest.mark.long
def test_a_write_to_many_reaches_a_shard_that_owned_nothing_before(
    single_routers: list[Client], db: Database[dict[str, Any]]
) -> None:
    """Shards do not refuse a write to many as stale, so the router must not rely on that."""
    told, untold = single_routers
    namespace = f"{db.name}.ranges"
    told.admin.command("shardCollection", namespace, key={"_id": 1})
    told.admin.command("split", namespace, middle={"_id": 50})
    view = untold[db.name]["ranges"]
    view.insert_many([{"_id": n} for n in range(100)])
    for done in (1, 2):
        assert view.update_many({}, {"$inc": {"k": 1}}).modified_count == 100
        move(told, namespace, 1)  # to where nothing was, then back
        assert view.update_many({}, {"$inc": {"k": 1}}).modified_count == 100
        assert view.count_documents({"k": 2 * done}) == 100
    move(told, namespace, 1)
    assert view.delete_many({}).deleted_count == 100
    view.drop()


@pytest.mark.long
@pytest.mark.parametrize("query", [{}, {"_id": 7}, {"_id": {"$gte": 7}}], ids=str)
def test_a_read_of_an_earlier_time_finds_what_has_moved_since(
    client: Client, db: Database[dict[str, Any]], query: dict[str, Any]
) -> None:
    """Who owned a chunk then is what counts, and not who owns it now: a dump reads so."""
    namespace = f"{db.name}.past"
    client.admin.command("shardCollection", namespace, key={"_id": 1})
    for _ in range(2):
        move(client, namespace, 0)  # there and back: both shards have the collection then
    documents = [{"_id": n} for n in range(20)]
    then = db.command("insert", "past", documents=documents)["operationTime"]
    move(client, namespace, 0)
    db["past"].delete_many({})
    at = {"level": "snapshot", "atClusterTime": then}
    found = db.command("find", "past", filter=query, readConcern=at)["cursor"]["firstBatch"]
    pipeline = [{"$match": query}]
    read = db.command("aggregate", "past", pipeline=pipeline, cursor={}, readConcern=at)
    db["past"].drop()
    wanted = [one for one in documents if one["_id"] >= (7 if query else 0)]
    assert found == (wanted[:1] if query.get("_id") == 7 else wanted)
    assert read["cursor"]["firstBatch"] == found


def test_a_router_that_was_not_told_notices_what_became_sharded_or_dropped(
    single_routers: list[Client], sharded: Documents
) -> None:
    told, untold = single_routers
    name = sharded.database.name
    untold[name]["turns"].insert_one({"_id": 1})
    told.admin.command("shardCollection", f"{name}.turns", key={"_id": 1})
    untold[name]["turns"].insert_one({"_id": 2})
    assert untold[name]["turns"].find_one({"_id": 1}) == {"_id": 1}
    assert told[name]["turns"].count_documents({}) == 2
    told[name]["turns"].drop()
    assert untold[name]["turns"].find_one({"_id": 1}) is None
    untold[name]["turns"].insert_one({"_id": 3})
    assert told[name]["turns"].count_documents({}) == 1
    told[name]["turns"].drop()
    told.drop_database(name + "y")
    untold[name + "y"]["t"].insert_one({"_id": 1})
    told.drop_database(name + "y")
    untold.admin.command("shardCollection", f"{name}y.t", key={"_id": "hashed"})
    told.drop_database(name + "y")


@pytest.mark.long
@pytest.mark.core
def test_counters_stay_exact_while_their_chunks_move(client: Client, sharded: Documents) -> None:
    """Every acknowledged write is there once, although chunks change shards underneath.

    Several writers on each router: what one learns of a move must not mislead another.
    """
    done = threading.Event()
    counts = [0] * 12
    matched: list[int] = []

    def work(worker: int) -> None:
        while not done.is_set():
            result = sharded.update_one({"_id": worker}, {"$inc": {"hits": 1}})
            matched.append(result.matched_count)
            sharded.insert_one({"_id": f"{worker} {counts[worker]}", "new": True})
            counts[worker] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        for position in (0, 1, 0, 1):
            move(client, sharded.full_name, position)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    stored = {d["_id"]: d["hits"] for d in sharded.find({"_id": {"$lt": len(counts)}})}
    new = {document["_id"] for document in sharded.find({"new": True})}
    sharded.delete_many({"new": True})
    assert set(matched) == {1}
    assert [stored[n] for n in range(len(counts))] == counts
    assert new == {f"{n} {i}" for n, count in enumerate(counts) for i in range(count)}
    assert min(counts) > 0

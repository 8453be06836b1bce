"""Reads through the routers: targeted, scattered, merged, paged."""

from __future__ import annotations

from typing import Any

import pytest
from bson.int64 import Int64
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import CursorNotFound, OperationFailure
from pymongo.read_concern import ReadConcern

Documents = Collection[dict[str, Any]]
Client = MongoClient[dict[str, Any]]


def shards_of(plan: dict[str, Any]) -> list[str]:
    return [shard["shardName"] for shard in plan["queryPlanner"]["winningPlan"]["shards"]]


def test_a_find_by_shard_key_asks_one_shard(sharded: Documents) -> None:
    for n in (0, 57, 199):
        assert sharded.find_one({"_id": n}) == {"_id": n, "group": n % 5}
        assert len(shards_of(sharded.find({"_id": n}).explain())) == 1


def test_a_find_by_another_field_asks_all_shards_and_misses_nothing(sharded: Documents) -> None:
    found = list(sharded.find({"group": 3}))
    assert sorted(document["_id"] for document in found) == list(range(3, 200, 5))
    assert len(shards_of(sharded.find({"group": 3}).explain())) == 2


def test_sort_skip_and_limit_hold_over_all_shards(sharded: Documents) -> None:
    page = sharded.find({}, {"_id": 1}).sort("_id", -1).skip(10).limit(25)
    assert [document["_id"] for document in page] == list(range(189, 164, -1))


def test_small_batches_are_continued_to_the_end(sharded: Documents) -> None:
    assert len(list(sharded.find().batch_size(7))) == 200
    assert len(list(sharded.find({"_id": {"$in": [1, 2, 3]}}).batch_size(2))) == 3


def test_a_closed_cursor_is_gone(sharded: Documents, client: Client) -> None:
    cursor = sharded.find().batch_size(5)
    next(cursor)
    number = cursor.cursor_id
    cursor.close()
    database = client[sharded.database.name]
    with pytest.raises(OperationFailure, match="not found") as failure:
        database.command("getMore", Int64(number or 0), collection=sharded.name)
    assert failure.value.code == 43
    assert isinstance(failure.value, CursorNotFound)


def test_counts(sharded: Documents, db: Database[dict[str, Any]]) -> None:
    assert sharded.count_documents({}) == 200
    assert sharded.estimated_document_count() == 200
    assert sharded.count_documents({"group": 2}) == 40
    assert db.command("count", sharded.name, query={"group": 2}, skip=5, limit=10)["n"] == 10
    assert db["nothing here"].estimated_document_count() == 0


def test_distinct_merges_the_shards(sharded: Documents) -> None:
    assert sorted(sharded.distinct("group")) == [0, 1, 2, 3, 4]
    assert sorted(sharded.distinct("_id", {"group": 1})) == list(range(1, 200, 5))


def test_aggregation_groups_across_shards(sharded: Documents) -> None:
    stages: list[dict[str, Any]] = [
        {"$group": {"_id": "$group", "n": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]
    assert list(sharded.aggregate(stages)) == [{"_id": n, "n": 40} for n in range(5)]
    assert len(list(sharded.aggregate([{"$match": {}}], batchSize=9))) == 200


def test_lookup_from_unsharded_to_sharded(sharded: Documents, db: Database[dict[str, Any]]) -> None:
    db["left"].insert_one({"_id": 1, "ref": 42})
    joined = {"from": sharded.name, "localField": "ref", "foreignField": "_id", "as": "right"}
    [document] = db["left"].aggregate([{"$lookup": joined}])
    assert document["right"] == [{"_id": 42, "group": 2}]


def test_out_and_merge_write_what_they_read(
    sharded: Documents, db: Database[dict[str, Any]]
) -> None:
    list(sharded.aggregate([{"$match": {"group": 1}}, {"$out": "copied"}]))
    assert db["copied"].count_documents({}) == 40
    list(db["copied"].aggregate([{"$set": {"seen": True}}, {"$merge": sharded.name}]))
    assert sharded.count_documents({"seen": True}) == 40
    sharded.update_many({}, {"$unset": {"seen": ""}})


def test_a_view_of_a_sharded_collection(sharded: Documents, db: Database[dict[str, Any]]) -> None:
    db.create_collection("fours", viewOn=sharded.name, pipeline=[{"$match": {"group": 4}}])
    assert db["fours"].count_documents({}) == 40
    assert db["fours"].find_one({"_id": 9}) == {"_id": 9, "group": 4}
    assert len(list(db["fours"].find().batch_size(6))) == 40


def test_secondaries_serve_reads_that_ask_for_them(sharded: Documents) -> None:
    on_secondary = sharded.with_options(read_preference=ReadPreference.SECONDARY)
    assert on_secondary.find_one({"_id": 7}) == {"_id": 7, "group": 2}
    assert on_secondary.count_documents({}) == 200


def test_a_session_reads_its_own_write_through_another_router(
    single_routers: list[Client], sharded: Documents
) -> None:
    first, second = (one[sharded.database.name][sharded.name] for one in single_routers)
    for number in range(1000, 1020):
        with first.database.client.start_session(causal_consistency=True) as writer:
            first.insert_one({"_id": number}, session=writer)
            with second.database.client.start_session(causal_consistency=True) as reader:
                assert writer.cluster_time is not None
                assert writer.operation_time is not None
                reader.advance_cluster_time(writer.cluster_time)
                reader.advance_operation_time(writer.operation_time)
                assert second.find_one({"_id": number}, session=reader) is not None
    first.delete_many({"_id": {"$gte": 1000}})


def test_a_session_is_told_a_time_no_earlier_than_what_it_saw_on_a_secondary(
    sharded: Documents,
) -> None:
    """Its next read waits for that time; so it sees no less, whichever secondary answers."""
    client = sharded.database.client
    on_secondary = sharded.with_options(
        read_concern=ReadConcern("majority"), read_preference=ReadPreference.SECONDARY
    )
    told = []
    for number in range(2000, 2040):
        with client.start_session() as writer, client.start_session() as reader:
            sharded.insert_one({"_id": number}, session=writer)
            if on_secondary.find_one({"_id": number}, session=reader) is not None:
                assert writer.operation_time is not None
                assert reader.operation_time is not None
                told.append(reader.operation_time >= writer.operation_time)
    sharded.delete_many({"_id": {"$gte": 2000}})
    assert told
    assert all(told)


def test_explain_of_aggregate_and_count(sharded: Documents, db: Database[dict[str, Any]]) -> None:
    pipeline = {"aggregate": sharded.name, "pipeline": [{"$match": {"_id": 5}}], "cursor": {}}
    assert "shards" in db.command("explain", pipeline, verbosity="queryPlanner")
    plan = db.command("explain", {"count": sharded.name, "query": {}}, verbosity="queryPlanner")
    assert len(shards_of(plan)) == 2


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "command",
    [
        {"aggregate": "hashed", "pipeline": [{"$changeStream": {}}], "cursor": {}},
        {"find": "hashed", "tailable": True, "awaitData": True},
    ],
)
def test_what_would_kill_a_member_is_refused(
    db: Database[dict[str, Any]], command: dict[str, Any]
) -> None:
    with pytest.raises(OperationFailure, match="use a real mongos") as failure:
        db.command(command)
    assert failure.value.code == 115

"""Administration through the routers: collections, indexes, shards, chunks, zones, balancer."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from typing import Any

import gridfs
import pytest
from pymongo import IndexModel, MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from cluster.local.cluster import LocalCluster
from tests.helpers.routers import chunks

Documents = Collection[dict[str, Any]]
Client = MongoClient[dict[str, Any]]


@pytest.fixture(scope="module")
def ranged(client: Client, db: Database[dict[str, Any]]) -> Documents:
    """A collection sharded by range of k, 0 to 99, still one chunk."""
    client.admin.command("shardCollection", f"{db.name}.ranged", key={"k": 1})
    db["ranged"].insert_many([{"k": n} for n in range(100)])
    return db["ranged"]


def test_hello_and_build_info_tell_a_router(client: Client) -> None:
    hello = client.admin.command("hello")
    assert hello["msg"] == "isdbgrid"
    assert hello["isWritablePrimary"]
    assert hello["logicalSessionTimeoutMinutes"] == 30
    assert client.admin.command("buildInfo")["version"].startswith(("6.", "7.", "8."))
    assert client.is_mongos


def test_indexes_stand_on_every_shard(sharded: Documents) -> None:
    sharded.create_indexes([IndexModel("group"), IndexModel([("a", 1), ("b", -1)])])
    assert {index["name"] for index in sharded.list_indexes()} >= {"group_1", "a_1_b_-1"}
    stats = sharded.aggregate([{"$indexStats": {}}, {"$match": {"name": "group_1"}}])
    assert {entry["shard"] for entry in stats} == {"shard-1", "shard-2"}
    sharded.drop_index("group_1")
    sharded.drop_indexes()
    assert {index["name"] for index in sharded.list_indexes()} == {"_id_", "_id_hashed"}
    with pytest.raises(OperationFailure):
        sharded.create_index("email", unique=True)


def test_collections_come_and_go(db: Database[dict[str, Any]]) -> None:
    db.create_collection("plain", validator={"n": {"$gte": 0}})
    with pytest.raises(OperationFailure, match="failed validation"):
        db["plain"].insert_one({"n": -1})
    db.command("collMod", "plain", validator={})
    db["plain"].insert_one({"n": -1})
    db["plain"].rename("renamed")
    assert "renamed" in db.list_collection_names()
    assert db["renamed"].count_documents({}) == 1
    db.drop_collection("renamed")
    assert "renamed" not in db.list_collection_names()
    with pytest.raises(OperationFailure) as failure:
        db.command("listIndexes", "never")
    assert failure.value.code == 26


def test_databases_are_listed_with_their_sizes(client: Client, sharded: Documents) -> None:
    listed = {entry["name"]: entry for entry in client.list_databases()}
    assert {"admin", "config", sharded.database.name} <= listed.keys()
    assert listed[sharded.database.name]["sizeOnDisk"] > 0


def test_statistics_add_up(sharded: Documents, db: Database[dict[str, Any]]) -> None:
    stats = db.command("collStats", sharded.name)
    assert stats["sharded"]
    assert stats["count"] == sum(shard["count"] for shard in stats["shards"].values())
    assert db.command("dbStats")["objects"] >= stats["count"]
    assert db.command("validate", sharded.name)["valid"]
    per_shard = list(sharded.aggregate([{"$collStats": {"count": {}}}]))
    assert {entry["shard"] for entry in per_shard} == {"shard-1", "shard-2"}


def test_shards_are_listed(client: Client) -> None:
    shards = client.admin.command("listShards")["shards"]
    assert {entry["_id"] for entry in shards} >= {"shard-1", "shard-2"}
    assert client.admin.command("getShardMap")["map"].keys() >= {"config", "shard-1"}


@pytest.mark.long
def test_chunks_are_split_and_moved(client: Client, ranged: Documents) -> None:
    namespace = ranged.full_name
    client.admin.command("split", namespace, middle={"k": 50})
    client.admin.command("split", namespace, find={"k": 10})
    assert len(chunks(client, namespace)) == 3
    for shard in ("shard-1", "shard-2"):
        client.admin.command("moveChunk", namespace, find={"k": 60}, to=shard)
        assert ranged.count_documents({}) == 100
        assert chunks(client, namespace)[-1]["shard"] == shard
    low = chunks(client, namespace)[0]
    other = "shard-2" if low["shard"] == "shard-1" else "shard-1"
    client.admin.command("moveRange", namespace, min=low["min"], max=low["max"], toShard=other)
    assert chunks(client, namespace)[0]["shard"] == other
    assert ranged.find_one({"k": 1}) is not None
    with pytest.raises(OperationFailure) as failure:
        client.admin.command("split", f"{ranged.database.name}.none", middle={"k": 1})
    assert failure.value.code == 118


def test_zones(client: Client, ranged: Documents) -> None:
    client.admin.command("addShardToZone", "shard-1", zone="z")
    bounds = {"min": {"k": 0}, "max": {"k": 5}}
    client.admin.command("updateZoneKeyRange", ranged.full_name, **bounds, zone="z")
    assert client.config.tags.find_one({"ns": ranged.full_name})["tag"] == "z"  # type: ignore[index]
    client.admin.command("updateZoneKeyRange", ranged.full_name, **bounds, zone=None)
    client.admin.command("removeShardFromZone", "shard-1", zone="z")
    assert client.config.tags.find_one({"ns": ranged.full_name}) is None


def test_a_shard_key_is_refined(client: Client, db: Database[dict[str, Any]]) -> None:
    refined = db["refined"]
    client.admin.command("shardCollection", refined.full_name, key={"k": 1})
    refined.create_index([("k", 1), ("j", 1)])
    client.admin.command("refineCollectionShardKey", refined.full_name, key={"k": 1, "j": 1})
    refined.insert_one({"k": 7, "j": 1})
    assert refined.update_one({"k": 7, "j": 1}, {"$set": {"x": 1}}).modified_count == 1
    assert refined.find_one({"k": 7, "j": 1}) is not None


@pytest.mark.parametrize("bound", [{"k": 50}, {"j": 1, "k": 50}, {"k": 1, "j": 1, "i": 1}, 5])
def test_bounds_that_are_no_whole_key_change_nothing(
    client: Client, db: Database[dict[str, Any]], bound: Any
) -> None:
    """Members would write them down, and could not read them again."""
    namespace = f"{db.name}.{secrets.token_hex(4)}"
    client.admin.command("shardCollection", namespace, key={"k": 1, "j": 1})
    before = chunks(client, namespace)
    whole = {"k": 60, "j": 1}
    for name, words in (
        ("split", {"middle": bound}),
        ("split", {"bounds": [bound, whole]}),
        ("moveRange", {"min": bound, "toShard": "shard-1"}),
        ("moveChunk", {"bounds": [before[0]["min"], bound], "to": "shard-1"}),
    ):
        with pytest.raises(OperationFailure, match="fields of the shard key, in order: k, j"):
            client.admin.command(name, namespace, **words)
    assert chunks(client, namespace) == before
    client.admin.command("split", namespace, middle=whole)
    assert len(chunks(client, namespace)) == len(before) + 1


def test_a_primary_shard_is_moved(client: Client, db: Database[dict[str, Any]]) -> None:
    db["loose"].insert_one({"_id": 1})
    before = client.config.databases.find_one({"_id": db.name})["primary"]  # type: ignore[index]
    target = "shard-2" if before == "shard-1" else "shard-1"
    client.admin.command("movePrimary", db.name, to=target)
    assert client.config.databases.find_one({"_id": db.name})["primary"] == target  # type: ignore[index]
    assert db["loose"].find_one() == {"_id": 1}


@pytest.fixture
def balancer_on(client: Client) -> Iterator[None]:
    yield
    client.admin.command("balancerStart")


@pytest.mark.usefixtures("balancer_on")
def test_the_balancer_stops_and_starts(client: Client, sharded: Documents) -> None:
    client.admin.command("balancerStop")
    assert client.admin.command("balancerStatus")["mode"] == "off"
    client.admin.command("balancerStart")
    assert client.admin.command("balancerStatus")["mode"] == "full"
    assert "balancerCompliant" in client.admin.command(
        "balancerCollectionStatus", sharded.full_name
    )


def test_default_concerns_are_the_clusters(client: Client) -> None:
    default = client.admin.command("getDefaultRWConcern")
    assert default["defaultWriteConcern"]["w"] == "majority"
    client.admin.command("setDefaultRWConcern", 1, defaultWriteConcern={"w": "majority"})
    assert client.admin.command("flushRouterConfig")["flushed"]


def test_enable_sharding_makes_a_database(client: Client) -> None:
    name = f"t{uuid.uuid4().hex[:10]}"
    client.admin.command("enableSharding", name)
    assert client.config.databases.find_one({"_id": name}) is not None
    client.drop_database(name)
    assert client.config.databases.find_one({"_id": name}) is None


def test_add_shard_is_idempotent_and_says_what_is_wrong(client: Client) -> None:
    [first, *_] = client.admin.command("listShards")["shards"]
    assert (
        client.admin.command("addShard", first["host"], name=first["_id"])["shardAdded"]
        == first["_id"]
    )
    with pytest.raises(OperationFailure):
        client.admin.command("addShard", "other/" + first["host"].partition("/")[2])
    with pytest.raises(OperationFailure) as failure:
        client.admin.command("removeShard", "no-such-shard")
    assert failure.value.code == 70


@pytest.fixture
def impatient_resharding(cluster: LocalCluster) -> Iterator[None]:
    """Without the five minutes that resharding takes at least, so that routers may prepare."""
    primary = cluster.primary("cfg")
    key = (cluster.state.folder / "secrets" / "keyFile").read_text().strip()
    who: dict[str, Any] = {"username": "__system", "password": key, "authSource": "local"}
    config: Client
    with MongoClient(primary.host, primary.port, directConnection=True, **who) as config:
        name = "reshardingMinimumOperationDurationMillis"
        before = config.admin.command("getParameter", 1, **{name: 1})[name]
        config.admin.command("setParameter", 1, **{name: 0})
        yield
        config.admin.command("setParameter", 1, **{name: before})


@pytest.mark.long
@pytest.mark.usefixtures("impatient_resharding")
def test_a_collection_is_resharded(client: Client, db: Database[dict[str, Any]]) -> None:
    client.admin.command("shardCollection", f"{db.name}.again", key={"_id": "hashed"})
    db["again"].insert_many([{"_id": n, "k": n % 7} for n in range(50)], ordered=False)
    client.admin.command("reshardCollection", f"{db.name}.again", key={"k": "hashed"})
    entry = client.config.collections.find_one({"_id": f"{db.name}.again"})
    assert entry is not None
    assert entry["key"] == {"k": "hashed"}
    assert db["again"].count_documents({}) == 50
    assert db["again"].find_one({"k": 3}) is not None


def test_files_in_gridfs(db: Database[dict[str, Any]]) -> None:
    files = gridfs.GridFS(db)
    content = bytes(range(256)) * 4000
    identifier = files.put(content, filename="f")
    assert files.get(identifier).read() == content


def test_an_unknown_command_is_refused_by_its_code(client: Client) -> None:
    for command in ("replSetStepDown", "fsync", "_configsvrAddShard", "clusterFind"):
        with pytest.raises(OperationFailure, match="no such command") as failure:
            client.admin.command(command, 1)
        assert failure.value.code == 59


def test_dropping_a_sharded_collection_leaves_no_trace(
    client: Client, db: Database[dict[str, Any]]
) -> None:
    client.admin.command("shardCollection", f"{db.name}.gone", key={"_id": "hashed"})
    db["gone"].insert_one({"_id": 1})
    db["gone"].drop()
    assert client.config.collections.find_one({"_id": f"{db.name}.gone"}) is None
    assert db["gone"].find_one() is None

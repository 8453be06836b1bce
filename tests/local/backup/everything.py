"""All kinds of documents, indexes and collections that a backup has to keep."""

from __future__ import annotations

import datetime
from typing import Any

import bson
import gridfs
from bson import Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

Client = MongoClient[dict[str, Any]]

LONG_AGO = datetime.datetime(2001, 2, 3, 4, 5, 6, 789000)  # noqa: DTZ001 - as BSON has it

KINDS: list[Any] = [
    None, True, 0, -1, Int64(1), Int64(2**62), 0.0, -0.0, 1.0, float("inf"), 1e-300, "", "é\0",
    b"bytes", Binary(b"12", 128), Binary(b"\1" * 16, 3), Binary(b"\2" * 16, 4), LONG_AGO,
    ObjectId(), Regex("^a.*", "im"), Code("f()"), Code("f()", {"x": 1}), Timestamp(1, 2),
    Decimal128("1.10"), Decimal128("NaN"), MinKey(), MaxKey(), [], {}, [1, [2, {"a": [3]}]],
    {"z": 1, "a": 2, "m": {"y": 1, "b": 2}}, {"$regex": "a", "$options": "i"},
]  # fmt: skip


def put_everything(client: Client) -> None:
    """Fills the cluster's databases `shop`, `odds` and `files`."""
    _shop(client)
    _odds(client)
    bucket = gridfs.GridFSBucket(client["files"])
    bucket.upload_from_stream("large", b"0123456789abcdef" * 60_000, metadata={"a": 1})
    for name in ("fs.chunks", "fs.files"):
        assert client["files"][name].count_documents({}) > 0


def _shop(client: Client) -> None:
    admin, shop = client.admin, client["shop"]
    admin.command("enableSharding", "shop", primaryShard="shard-1")
    admin.command("addShardToZone", "shard-1", zone="east")
    admin.command("addShardToZone", "shard-2", zone="west")
    admin.command("shardCollection", "shop.hashed", key={"customer": "hashed"})
    shop["hashed"].insert_many({"_id": n, "customer": f"c{n}", "k": k} for n, k in enumerate(KINDS))
    for low, high, zone in ((MinKey(), 50, "east"), (50, MaxKey(), "west")):
        admin.command(
            "updateZoneKeyRange", "shop.ranged", min={"n": low}, max={"n": high}, zone=zone
        )
    admin.command("shardCollection", "shop.ranged", key={"n": 1}, unique=True)
    shop["ranged"].insert_many({"_id": -n, "n": n, "text": "x" * n} for n in range(100))
    shop.create_collection(
        "french",
        collation={"locale": "fr", "strength": 2},
        validator={"name": {"$regex": "^[a-z]"}, "n": {"$type": "int"}},
        validationAction="error",
    )
    shop["french"].create_index([("name", 1), ("n", -1)], name="mine")
    admin.command(
        "shardCollection", "shop.french", key={"city": "hashed"}, collation={"locale": "simple"}
    )
    shop["french"].insert_many(
        {"name": f"n{n}", "n": n, "city": f"City {n % 7}"} for n in range(30)
    )
    shop["french"].insert_one({"name": "Z", "n": "no int"}, bypass_document_validation=True)
    shop.command("create", "view", viewOn="ranged", pipeline=[{"$match": {"n": {"$gt": 5}}}])


def _odds(client: Client) -> None:
    odds = client["odds"]
    indexed = odds["indexed"]
    indexed.insert_many(
        {"_id": {"b": n, "a": n}, "at": LONG_AGO, "n": n, "t": f"word{n}", "p": [n, n]}
        for n in range(20)
    )
    indexed.create_index("n", unique=True)
    indexed.create_index("t", collation={"locale": "de", "strength": 1}, name="german")
    indexed.create_index("n", name="some", partialFilterExpression={"n": {"$gt": 3}})
    indexed.create_index([("t", "text")], weights={"t": 3}, default_language="german")
    indexed.create_index([("p", "2d")])
    indexed.create_index([("$**", 1)], name="wild", wildcardProjection={"t": 0})
    indexed.create_index([("h", "hashed")])
    indexed.create_index("sparse", sparse=True, hidden=True)
    odds.create_collection("capped", capped=True, size=8192, max=50)
    odds["capped"].insert_many({"_id": (n * 7) % 60} for n in range(60))
    odds.create_collection("empty")
    odds.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    odds["clustered"].insert_many({"_id": n} for n in range(5))
    odds["odd name/with: %signsé"].insert_one({"_id": 1})
    odds["x" * 200].insert_one({"_id": 1})
    for n, size in enumerate((2_000_000, 15_000_000, 16_777_216 - 22, 2_000_000)):
        odds["large"].insert_one({"_id": n, "b": bytes(size)})
    same = bson.encode({"_id": 1})[4:-1] + bson.encode({"a": 1})[4:-1] + bson.encode({"a": 2})[4:]
    twice = (len(same) + 4).to_bytes(4, "little") + same
    odds["twice"].insert_one(RawBSONDocument(twice))  # type: ignore[arg-type]
    expiring(client)


def expiring(client: Client) -> None:
    """Documents that will expire before they are restored, and an index that shards by its age."""
    soon = datetime.datetime.now(datetime.UTC)
    ttl = client["odds"]["expiring"]
    ttl.create_index("at", expireAfterSeconds=3600, name="expiry")
    ttl.insert_many({"_id": n, "at": soon} for n in range(10))


def everything(client: Client) -> dict[str, list[bytes]]:
    """The raw documents of every collection, in order of their bytes; a capped one's in its own."""
    raw: dict[str, list[bytes]] = {}
    for name in ("shop", "odds", "files"):
        for entry in client[name].list_collections():
            if entry["type"] == "view" or entry["name"] == "system.views":
                continue
            batches = client[name][entry["name"]].find_raw_batches()
            documents = [bytes(d.raw) for batch in batches for d in _split(batch)]
            capped = entry["options"].get("capped")
            raw[f"{name}.{entry['name']}"] = documents if capped else sorted(documents)
    return raw


def _split(batch: Any) -> list[RawBSONDocument]:
    return bson.decode_all(batch, bson.raw_bson.DEFAULT_RAW_BSON_OPTIONS)


def descriptions(client: Client) -> dict[str, Any]:
    """Options, indexes and shard keys of every collection."""
    found: dict[str, Any] = {}
    for name in ("shop", "odds", "files"):
        for entry in client[name].list_collections():
            indexes = (
                sorted(map(repr, client[name][entry["name"]].list_indexes()))
                if entry["type"] == "collection"
                else None
            )
            found[f"{name}.{entry['name']}"] = (entry["type"], entry["options"], indexes)
    for doc in client["config"]["collections"].find({"_id": {"$ne": "config.system.sessions"}}):
        found[f"key {doc['_id']}"] = (doc["key"], doc.get("unique"))
    for doc in client["config"]["tags"].find():
        found[f"zone {doc['ns']} {doc['min']}"] = (doc["max"], doc["tag"])
    for doc in client["config"]["shards"].find():
        found[f"shard {doc['_id']}"] = doc.get("tags")
    return found

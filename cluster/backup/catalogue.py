"""What a cluster holds beside the documents: collections, options, indexes, shard keys, zones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.errors import OperationFailure

from cluster.backup.manifest import Entry
from cluster.connect import Client
from cluster.errors import ClusterError

# The servers' own, and the project's: what is noted there is about one cluster and one moment.
OWN_DATABASES = {"admin", "config", "local", "cluster"}

# As it is: dates out of Python's range, binary of any subtype.
EXACT: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
)
UNKNOWN_NAMESPACE = 26


def databases(client: Client) -> list[str]:
    """The application's databases: all but the servers' and the project's own."""
    return sorted(set(client.list_database_names()) - OWN_DATABASES)


def entries(client: Client) -> list[Entry]:
    """Every collection and view with its options, indexes and shard key.

    Raises ClusterError for what cannot be dumped: a time series.
    """
    sharded = {doc["_id"]: doc for doc in _config(client, "collections").find()}
    found = []
    for database in databases(client):
        for entry in _listed(client, database):
            entry.sharding = _sharding(client, entry, sharded.get(entry.namespace))
            found.append(entry)
    return found


def _listed(client: Client, database: str) -> Iterator[Entry]:
    db = client.get_database(database, codec_options=EXACT)
    listed = [document for document in db.list_collections() if _is_users(document["name"])]
    for document in sorted(listed, key=lambda document: str(document["name"])):
        name, kind = document["name"], document.get("type", "collection")
        if kind not in ("collection", "view"):
            raise ClusterError(
                f"{database}.{name} is a {kind}, which cannot be dumped here. Move it elsewhere."
            )
        uuid = document["info"].get("uuid", b"").hex()
        indexes = _indexes(client, database, name) if kind == "collection" else []
        yield Entry(database, name, kind, document["options"], indexes, uuid)


def _is_users(name: str) -> bool:
    return not name.startswith("system.") or name == "system.js"


def _indexes(client: Client, database: str, name: str) -> list[dict[str, Any]]:
    collection = client.get_database(database, codec_options=EXACT)[name]
    try:
        return [dict(index) for index in collection.list_indexes()]
    except OperationFailure as error:
        if error.code == UNKNOWN_NAMESPACE:
            return []
        raise


def _sharding(client: Client, entry: Entry, known: dict[str, Any] | None) -> dict[str, Any] | None:
    if known is None or known.get("unsplittable"):  # 8.0 lists unsharded ones that were moved, too
        return None
    ranges = _config(client, "tags").find({"ns": entry.namespace}).sort("min", 1)
    return {
        "key": known["key"],
        "unique": bool(known.get("unique")),
        "hashed": "hashed" in known["key"].values(),
        "zones": [{"zone": r["tag"], "min": r["min"], "max": r["max"]} for r in ranges],
    }


def primaries(client: Client) -> dict[str, str]:
    """The primary shard of each of the application's databases."""
    wanted = databases(client)
    found = _config(client, "databases").find({"_id": {"$in": wanted}})
    return {doc["_id"]: doc["primary"] for doc in found}


def zones(client: Client) -> dict[str, list[str]]:
    """The zones that each shard belongs to."""
    return {doc["_id"]: doc["tags"] for doc in _config(client, "shards").find() if doc.get("tags")}


def fingerprint(client: Client) -> str:
    """Differs when a database, a collection, a shard key, a zone or a chunk's place does."""
    chunks = _config(client, "chunks").aggregate(
        [{"$group": {"_id": "$uuid", "count": {"$sum": 1}, "last": {"$max": "$lastmod"}}}]
    )
    listed = {
        "chunks": sorted(chunks, key=lambda document: bytes(document["_id"])),
        "shards": _all(client, "shards"),
        "databases": _all(client, "databases"),
        "collections": _all(client, "collections"),
        "tags": _all(client, "tags"),
    }
    return hashlib.sha256(bson.encode(listed)).hexdigest()


def _all(client: Client, name: str) -> list[dict[str, Any]]:
    return list(_config(client, name).find().sort("_id", 1))


def _config(client: Client, name: str) -> Any:
    return client.get_database("config", codec_options=EXACT)[name]

"""What a cluster holds beside the documents: collections, options, indexes, shard keys, zones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import bson
from bson import Timestamp
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.errors import OperationFailure

from cluster.backup.manifest import Contents, Entry
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


def contents(client: Client) -> Contents:
    """Every collection and view with its options, indexes and shard key, and the zones; now.

    Raises ClusterError for what cannot be dumped: a time series.
    """
    return Contents(
        Timestamp(0, 0),
        str(client.admin.command("buildInfo")["version"]),
        _primaries(client),
        _zones(client),
        entries(client),
    )


def exact(found: Contents) -> bytes:
    """The same for two that do not differ, down to the order of the fields of a key."""
    return bson.encode(dataclasses.asdict(found))


def entries(client: Client) -> list[Entry]:
    """Every collection and view, sorted by namespace; raises ClusterError as `contents`."""
    sharded = {doc["_id"]: doc for doc in _config(client, "collections").find()}
    homes = {doc["_id"]: doc for doc in _config(client, "databases").find()}
    found = []
    for database in databases(client):
        for entry in _listed(client, database):
            known = sharded.get(entry.namespace)
            entry.sharding = _sharding(client, entry, known)
            entry.version = _version(known, homes.get(database))
            found.append(entry)
    return found


def is_unchanged(client: Client, entry: Entry) -> bool:
    """Whether under its name there still is the collection that it was, in the same place."""
    known = _config(client, "collections").find_one({"_id": entry.namespace})
    home = _config(client, "databases").find_one({"_id": entry.database})
    listed = client[entry.database].list_collections(filter={"name": entry.name})
    uuids = [_uuid(document) for document in listed]
    return uuids == [entry.uuid] and _version(known, home) == entry.version


def _version(known: dict[str, Any] | None, home: dict[str, Any] | None) -> dict[str, Any]:
    of_collection = [(known or {}).get(name) for name in ("uuid", "timestamp", "lastmodEpoch")]
    return {"collection": of_collection, "database": (home or {}).get("version")}


def _uuid(listed: Mapping[str, Any]) -> str:
    return bytes(listed["info"].get("uuid", b"")).hex()


def _listed(client: Client, database: str) -> Iterator[Entry]:
    db = client.get_database(database, codec_options=EXACT)
    listed = [document for document in db.list_collections() if _is_users(document["name"])]
    for document in sorted(listed, key=lambda document: str(document["name"])):
        name, kind = document["name"], document.get("type", "collection")
        if kind not in ("collection", "view"):
            raise ClusterError(
                f"{database}.{name} is a {kind}, which cannot be dumped here. Move it elsewhere."
            )
        indexes = _indexes(client, database, name) if kind == "collection" else []
        yield Entry(database, name, kind, document["options"], indexes, _uuid(document))


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


def _primaries(client: Client) -> dict[str, str]:
    """The primary shard of each of the application's databases."""
    wanted = databases(client)
    found = _config(client, "databases").find({"_id": {"$in": wanted}})
    return {doc["_id"]: doc["primary"] for doc in found}


def _zones(client: Client) -> dict[str, list[str]]:
    """The zones that each shard belongs to."""
    return {doc["_id"]: doc["tags"] for doc in _config(client, "shards").find() if doc.get("tags")}


def _config(client: Client, name: str) -> Any:
    return client.get_database("config", codec_options=EXACT)[name]

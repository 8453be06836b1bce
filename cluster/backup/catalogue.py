"""What a cluster holds beside the documents: collections, options, indexes, shard keys, zones.

A dump reads it; a restore makes an empty cluster so. What lets the server delete by itself
(`expireAfterSeconds`) is left out at first: documents that have expired since the dump would go
before they are compared. `set_expiry` adds it in the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import bson
from bson import Timestamp
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.errors import OperationFailure

from cluster.backup.manifest import Entry, Manifest
from cluster.errors import ClusterError
from cluster.servers.connections import Client
from console import Report

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


def contents(client: Client) -> Manifest:
    """Every collection and view with its options, indexes and shard key, and the zones; now.

    Raises ClusterError for what cannot be dumped: a time series.
    """
    return Manifest(
        Timestamp(0, 0),
        str(client.admin.command("buildInfo")["version"]),
        _primaries(client),
        _zones(client),
        entries(client),
    )


def exact(found: Manifest) -> bytes:
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


EXPIRY = "expireAfterSeconds"


def make_databases(client: Client, contents: Manifest, report: Report) -> None:
    """Makes each database, on the shard that was its primary if one of that name is here."""
    shards = {shard["_id"] for shard in client.admin.command("listShards")["shards"]}
    for database, primary in contents.primaries.items():
        command = {"enableSharding": database}
        if primary in shards:
            command["primaryShard"] = primary
        else:
            report(f"{database}: there is no {primary} here; the cluster chooses its shard")
        with contextlib.suppress(OperationFailure):  # it is there, empty, on another shard
            client.admin.command(command)


def make_zones(client: Client, contents: Manifest, report: Report) -> set[str]:
    """Puts the shards into their zones again; returns the zones that have a shard here."""
    shards = {shard["_id"] for shard in client.admin.command("listShards")["shards"]}
    made = set()
    for shard, names in contents.zones.items():
        for zone in names if shard in shards else []:
            client.admin.command("addShardToZone", shard, zone=zone)
            made.add(zone)
    for zone in {zone for names in contents.zones.values() for zone in names} - made:
        report(f"zone {zone}: none of its shards is here; its ranges are left out")
    return made


def make_collection(client: Client, entry: Entry, zones: set[str]) -> None:
    """Makes one collection or view, with its options, indexes, shard key and zones."""
    db = client[entry.database]
    if entry.name != "system.js":  # which is there by itself
        options = {key: value for key, value in entry.options.items() if key != EXPIRY}
        db.command({"create": entry.name, **options})
    indexes = [_as_made(index, entry) for index in entry.indexes if is_made(index)]
    if indexes:
        db.command({"createIndexes": entry.name, "indexes": indexes})
    if entry.sharding:
        _shard(client, entry, zones)


def is_made(index: dict[str, Any]) -> bool:
    """Whether an index does not come with the collection itself."""
    return index["name"] != "_id_" and not index.get("clustered")


def _as_made(index: dict[str, Any], entry: Entry) -> dict[str, Any]:
    made = {key: value for key, value in index.items() if key not in (EXPIRY, "ns")}
    if "collation" in entry.options:  # which an index takes over that names none
        made.setdefault("collation", {"locale": "simple"})
    return made


def _shard(client: Client, entry: Entry, zones: set[str]) -> None:
    sharding = entry.sharding or {}
    command = {"shardCollection": entry.namespace, "key": sharding["key"]}
    if sharding["unique"]:
        command["unique"] = True
    if "collation" in entry.options:
        command["collation"] = {"locale": "simple"}
    # Ranges that are known before make the first chunks; a hashed key makes its own, evenly.
    if not sharding["hashed"]:
        _make_ranges(client, entry, zones)
    client.admin.command(command)
    if sharding["hashed"]:
        _make_ranges(client, entry, zones)


def _make_ranges(client: Client, entry: Entry, zones: set[str]) -> None:
    for found in (entry.sharding or {})["zones"]:
        if found["zone"] in zones:
            command = {"updateZoneKeyRange": entry.namespace, **found}
            client.admin.command(command)


def set_expiry(client: Client, entry: Entry) -> None:
    """Lets the server delete again what has expired."""
    db = client[entry.database]
    if EXPIRY in entry.options:
        db.command({"collMod": entry.name, EXPIRY: entry.options[EXPIRY]})
    for index in entry.indexes:
        if EXPIRY in index:
            change = {"name": index["name"], EXPIRY: index[EXPIRY]}
            db.command({"collMod": entry.name, "index": change})


def clear(client: Client, namespaces: list[str]) -> None:
    """Drops collections with their zones; those that are not there are no error."""
    for namespace in namespaces:
        for found in client["config"]["tags"].find({"ns": namespace}):
            command = {"updateZoneKeyRange": namespace, "min": found["min"], "max": found["max"]}
            client.admin.command({**command, "zone": None})
        database, _, name = namespace.partition(".")
        client[database].drop_collection(name)


def what_is_there(client: Client) -> list[str]:
    """The namespaces of all that an empty cluster has not."""
    return [
        f"{database}.{name}"
        for database in databases(client)
        for name in sorted(client[database].list_collection_names())
        if name != "system.views"
    ]

"""Makes an empty cluster what a backup says it was, all but the documents.

What lets the server delete by itself (`expireAfterSeconds`) is left out at first: documents that
have expired since the dump would go before they are compared. `set_expiry` adds it in the end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from pymongo.errors import OperationFailure

from cluster.backup.catalogue import databases
from cluster.backup.manifest import Contents, Entry
from cluster.connect import Client

Report = Callable[[str], None]

EXPIRY = "expireAfterSeconds"


def make_databases(client: Client, contents: Contents, report: Report) -> None:
    """Each on the shard that was its primary, where there is one of that name."""
    shards = {shard["_id"] for shard in client.admin.command("listShards")["shards"]}
    for database, primary in contents.primaries.items():
        command = {"enableSharding": database}
        if primary in shards:
            command["primaryShard"] = primary
        else:
            report(f"{database}: there is no {primary} here; the cluster chooses its shard")
        with contextlib.suppress(OperationFailure):  # it is there, empty, on another shard
            client.admin.command(command)


def make_zones(client: Client, contents: Contents, report: Report) -> set[str]:
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
    """The collection or view, with its options, indexes, shard key and zones."""
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

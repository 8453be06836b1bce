"""What a cluster's members hold: the config servers' catalogue, and each shard's documents.

They are asked directly rather than through a router, so that the answer does not depend on one,
nor on a primary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pymongo.errors import PyMongoError
from pymongo.read_preferences import SecondaryPreferred

from cluster.errors import KeyFileError
from cluster.model.layout import Layout, Node, ReplicaSet
from cluster.servers.connections import Client, Connections
from cluster.servers.replica_set import look

T = TypeVar("T")

INTERNAL = {"admin", "config", "local"}


@dataclass(frozen=True)
class ShardCatalogue:
    """What the config servers know of the shards."""

    shards: dict[str, bool]  # name: is it draining
    chunks: dict[tuple[str, str], int]  # (shard, namespace): count
    sharded: frozenset[str]
    balancer: str
    homes: dict[str, str]  # database: its primary shard


def state_of(connections: Connections, node: Node) -> str:
    """A member's state in a word or a few; never raises for a member in trouble."""
    try:
        return look(connections, node).state
    except KeyFileError:
        return "refuses the key file"


def ask(connections: Connections, replica_set: ReplicaSet, what: Callable[[Client], T]) -> T | None:
    """The answer of the first member that can give one, the primary before the others."""
    members = [(node, state_of(connections, node)) for node in replica_set.members]
    for wanted in ("PRIMARY", "SECONDARY"):
        for node, state in members:
            if state == wanted:
                try:
                    return what(connections.member(node))
                except PyMongoError:
                    continue
    return None


def read_catalogue(connections: Connections, layout: Layout) -> ShardCatalogue | None:
    """The catalogue, None when no config server can be read."""
    return ask(connections, layout.config, catalogue_of)


def catalogue_of(client: Client) -> ShardCatalogue:
    """The catalogue as one config server has it. Raises PyMongoError."""
    config = client.get_database("config", read_preference=SecondaryPreferred())
    names = {c["uuid"]: c["_id"] for c in config["collections"].find({}, {"uuid": 1})}
    counts = config["chunks"].aggregate(
        [{"$group": {"_id": {"shard": "$shard", "uuid": "$uuid"}, "n": {"$sum": 1}}}]
    )
    settings = config["settings"].find_one({"_id": "balancer"}) or {}
    mode = settings.get("mode", "full")
    off = settings.get("stopped") or mode == "off"
    return ShardCatalogue(
        {s["_id"]: bool(s.get("draining")) for s in config["shards"].find()},
        {
            (c["_id"]["shard"], names[c["_id"]["uuid"]]): c["n"]
            for c in counts
            if c["_id"]["uuid"] in names
        },
        frozenset(names.values()),
        "off" if off else "on",
        {d["_id"]: d["primary"] for d in config["databases"].find()},
    )


def count_documents(connections: Connections, shard: ReplicaSet) -> dict[str, int] | None:
    """Documents by namespace, counted from metadata on one member: quick, with orphans."""

    def counts(client: Client) -> dict[str, int]:
        found = {}
        for database in client.list_database_names():
            if database in INTERNAL:
                continue
            for entry in client[database].list_collections(filter={"type": "collection"}):
                if not entry["name"].startswith("system."):
                    answer = client[database].command("count", entry["name"])
                    found[f"{database}.{entry['name']}"] = int(answer["n"])
        return found

    return ask(connections, shard, counts)

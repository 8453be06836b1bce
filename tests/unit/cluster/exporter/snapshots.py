"""Snapshots of a cluster of one set and one router, as if its servers had answered so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bson import Timestamp

from cluster.exporter.kept import Kept
from cluster.exporter.snapshot import Catalogue, Change, Server, SetView, Snapshot
from cluster.model.layout import Node, ReplicaSet
from cluster.servers.census import ShardCatalogue

AT = 1_700_000_000.0
NAMES = ("shard-1-1", "shard-1-2", "shard-1-3")
SET = ReplicaSet("shard-1", tuple(Node(name, "h", 1) for name in NAMES), is_config=False)
MOMENT = datetime.fromtimestamp(AT, UTC)


def member(name: str, up_seconds: float = 9e4, elected: float | None = None, **more: Any) -> Server:
    """A member that answers; the primary, where it is told when it was elected."""
    me = {"self": True, "name": name, "stateStr": "SECONDARY" if elected is None else "PRIMARY"}
    if elected is not None:
        me["electionTime"] = Timestamp(int(elected), 1)
    answers: Mapping[str, Any] = {
        "serverStatus": {"uptimeMillis": int(up_seconds * 1000), "version": "8.0.1", **more},
        "replSetGetStatus": {"myState": 1, "term": 7, "members": [me]},
    }
    return Server(node(name), SET, answers)


def missing(name: str) -> Server:
    """A member that does not answer."""
    return Server(node(name), SET, {}, "timed out")


def node(name: str) -> Node:
    """The member of this name."""
    return SET.members[NAMES.index(name)]


def snapshot(
    *members: Server,
    at: float = AT,
    changes: Iterable[Change] | None = (),
    kept: Kept | None = None,
) -> Snapshot:
    """The members together. `changes` is None where no config server answers."""
    known = ShardCatalogue({"shard-1": False}, {}, frozenset(), "on", {})
    catalogue = None if changes is None else Catalogue(known, tuple(changes), "id")
    routers = (Server(Node("router-1", "h", 1), None, member("shard-1-1").answers),)
    return Snapshot(at, 0.1, (SetView(SET, members),), routers, catalogue, kept or Kept())

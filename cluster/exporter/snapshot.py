"""A cluster at one moment: what its servers answered, and what follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cluster.exporter.holdings import Document, Held
from cluster.exporter.kept import Kept
from cluster.model.layout import Node, ReplicaSet
from cluster.servers.census import ShardCatalogue

IN_SERVICE = ("PRIMARY", "SECONDARY")
RECENT = timedelta(minutes=10)
"""As mongodb_exporter does."""


@dataclass(frozen=True)
class Server:
    """One server. `answers` by command, empty where it is down: then `error` says why.

    `oplog` of a member: when its first and its last entry were written, in seconds since 1970.
    `held` is what it held when that was last asked.
    """

    node: Node
    replica_set: ReplicaSet | None
    answers: Mapping[str, Document]
    error: str = ""
    oplog: tuple[int, int] | None = None
    held: tuple[Held, ...] = ()

    @property
    def state(self) -> str:
        """A member's state by its own word; "DOWN" where it does not answer."""
        me = self.myself
        return str(me["stateStr"]) if me else "DOWN"

    @property
    def myself(self) -> Document | None:
        """What a member says of itself among those of its set."""
        members = self.answers.get("replSetGetStatus", {}).get("members", ())
        return next((one for one in members if one.get("self")), None)


@dataclass(frozen=True)
class SetView:
    """A replica set by the word of its members that answer."""

    replica_set: ReplicaSet
    members: tuple[Server, ...]

    @property
    def primary(self) -> Server | None:
        """The member that is the primary. Of two that believe it, the one elected later."""
        found = [one for one in self.members if one.state == "PRIMARY"]
        return max(found, key=term_of, default=None)

    @property
    def elected(self) -> float | None:
        """When its primary was elected, in seconds since 1970."""
        me = self.primary and self.primary.myself
        return float(me["electionTime"].time) if me and "electionTime" in me else None

    @property
    def speaker(self) -> Server | None:
        """Whose word counts where members tell of one another: the primary's, or else anybody's."""
        able = (one for one in self.members if one.state in IN_SERVICE)
        return self.primary or next(able, None)

    @property
    def in_service(self) -> int:
        """Members that are primary or secondary."""
        return sum(one.state in IN_SERVICE for one in self.members)

    @property
    def survives(self) -> int:
        """How many more members it can lose and still take writes; below 0: it takes none."""
        return self.in_service - (len(self.members) // 2 + 1)


def term_of(server: Server) -> int:
    """The term that a member is in: how many elections its set has had."""
    return int(server.answers["replSetGetStatus"].get("term", 0))


@dataclass(frozen=True)
class Change:
    """A change of the sharding, as the config servers have noted it (config.changelog)."""

    at: datetime
    what: str
    namespace: str
    details: Document


@dataclass(frozen=True)
class Catalogue:
    """What a config server knows. `changes` are the latest of the sharding, a few hundred."""

    shards: ShardCatalogue
    changes: tuple[Change, ...]
    cluster_id: str

    def chunks(self, shard: str) -> int:
        """How many chunks a shard has."""
        return sum(count for (one, _), count in self.shards.chunks.items() if one == shard)

    def collections(self, shard: str) -> Counter[str]:
        """Of how many sharded collections a shard has a part, by database."""
        names = (name for one, name in self.shards.chunks if one == shard)
        return Counter(name.partition(".")[0] for name in names)

    def events(self, since: datetime) -> Counter[str]:
        """How many changes there were, by kind."""
        return Counter(one.what for one in self.changes if one.at >= since)


@dataclass(frozen=True)
class Event:
    """One thing that happened, at seconds since 1970. `set_name` where it is about one set."""

    at: float
    kind: str
    text: str
    set_name: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """The cluster; `catalogue` is None while no config server can be read. Times in seconds.

    `timeline` tells of the last hours, the newest last.
    """

    at: float
    took: float
    sets: tuple[SetView, ...]
    routers: tuple[Server, ...]
    catalogue: Catalogue | None
    kept: Kept
    timeline: tuple[Event, ...] = ()

    @property
    def recently(self) -> datetime:
        """Since when changes of the sharding are counted."""
        return datetime.fromtimestamp(self.at, UTC) - RECENT

    @property
    def servers(self) -> list[Server]:
        """All of them."""
        return [*(one for view in self.sets for one in view.members), *self.routers]

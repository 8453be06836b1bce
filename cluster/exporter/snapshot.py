"""A cluster at one moment, asked of all its servers together, each by two connections at most.

What does not answer in time counts as down: the answer does not wait for it. The connections stay,
so that a server is not logged in to each time. Nothing is counted that grows with the documents.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from pymongo.errors import PyMongoError

from cluster.errors import ClusterError
from cluster.exporter.holdings import Document, Held, Holdings
from cluster.model.layout import Node, ReplicaSet
from cluster.servers.census import ShardCatalogue, catalogue_of
from cluster.servers.connections import Access, Client, short

ANSWER_SECONDS = 1.2
"""For one server to answer one question."""
ALL_SECONDS = 1.7
"""For all of them to answer everything."""
FRESH_SECONDS = 0.5
"""For so long a snapshot is given again, so that two who ask together cost no more than one."""
RENEWED_SECONDS = 30.0
"""After which it is looked whether the cluster has other servers or secrets now."""
EVENTS = timedelta(minutes=10)
"""How far back changes of the sharding are counted."""
IN_SERVICE = ("PRIMARY", "SECONDARY")


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
        me: Document
        for me in self.answers.get("replSetGetStatus", {}).get("members", ()):
            if me.get("self"):
                return str(me["stateStr"])
        return "DOWN"


@dataclass(frozen=True)
class SetView:
    """A replica set by the word of its members that answer."""

    replica_set: ReplicaSet
    members: tuple[Server, ...]

    @property
    def primary(self) -> Server | None:
        """The member that is the primary. Of two that believe it, the one elected later."""
        found = [one for one in self.members if one.state == "PRIMARY"]
        return max(found, key=_term, default=None)

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


def _term(server: Server) -> int:
    return int(server.answers["replSetGetStatus"].get("term", 0))


@dataclass(frozen=True)
class Catalogue:
    """What a config server knows. `events`: changes of the sharding in the last EVENTS, by kind."""

    shards: ShardCatalogue
    events: Mapping[str, int]
    cluster_id: str

    def chunks(self, shard: str) -> int:
        """How many chunks a shard has."""
        return sum(count for (one, _), count in self.shards.chunks.items() if one == shard)

    def collections(self, shard: str) -> Counter[str]:
        """Of how many sharded collections a shard has a part, by database."""
        names = (name for one, name in self.shards.chunks if one == shard)
        return Counter(name.partition(".")[0] for name in names)


@dataclass(frozen=True)
class Snapshot:
    """The cluster; `catalogue` is None while no config server can be read. Times in seconds."""

    at: float
    took: float
    sets: tuple[SetView, ...]
    routers: tuple[Server, ...]
    catalogue: Catalogue | None

    @property
    def servers(self) -> list[Server]:
        """All of them."""
        return [*(one for view in self.sets for one in view.members), *self.routers]


class Watcher:
    """Takes snapshots of a cluster until it is closed; safe among threads.

    `find` tells what it takes to reach the servers; it is asked again every RENEWED_SECONDS, so
    that new shards and changed secrets are taken over. Raises ClusterError where it does at first.
    """

    def __init__(self, find: Callable[[], Access]) -> None:
        self._find = find
        self._access = find()
        self._open()
        self._lock = threading.Lock()
        self._last: Snapshot | None = None
        self._renewal: Future[Access] | None = None
        self._renewed = time.monotonic()

    def _open(self) -> None:
        layout = self._access.layout
        self._connections = self._access.connections(ANSWER_SECONDS, most=1)
        self._pool = ThreadPoolExecutor(len(layout.nodes) + 2, "ask")
        members = [node for one in layout.sets for node in one.members]
        client = self._connections.member
        self._holdings = Holdings((node.name, partial(client, node)) for node in members)

    def close(self) -> None:
        """End all connections, and what is asked in the background."""
        self._holdings.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._connections.close()

    def snapshot(self) -> Snapshot:
        """The cluster as it is, or was at most FRESH_SECONDS ago."""
        with self._lock:
            last = self._last
            if last is None or time.time() - last.at - last.took > FRESH_SECONDS:
                self._renew()
                last = self._last = self._take()
            return last

    def _renew(self) -> None:
        """Use new addresses and secrets of the servers once they are known; never wait for them."""
        if self._renewal is None:
            if time.monotonic() - self._renewed > RENEWED_SECONDS:
                self._renewal = self._pool.submit(self._find)
            return
        if not self._renewal.done():
            return
        found, self._renewal = self._renewal, None
        self._renewed = time.monotonic()
        if found.exception() is None and found.result() != self._access:
            self.close()
            self._access = found.result()
            self._open()

    def _take(self) -> Snapshot:
        layout, began = self._access.layout, time.monotonic()
        at = time.time()
        members = {
            node.name: self._pool.submit(self._ask_member, node, one)
            for one in layout.sets
            for node in one.members
        }
        routers = {node.name: self._pool.submit(self._ask_router, node) for node in layout.routers}

        def until() -> float:
            return max(0.0, began + ALL_SECONDS - time.monotonic())

        wait([members[node.name] for node in layout.config.members], until())
        config = SetView(layout.config, self._found(layout.config, members))
        catalogue = self._catalogue(config, until)
        wait([*members.values(), *routers.values()], until())
        return Snapshot(
            at,
            time.monotonic() - began,
            tuple(SetView(one, self._found(one, members)) for one in layout.sets),
            tuple(_answer(routers[node.name], node, None) for node in layout.routers),
            catalogue,
        )

    def _found(
        self, replica_set: ReplicaSet, asked: Mapping[str, Future[Server]]
    ) -> tuple[Server, ...]:
        members = replica_set.members
        return tuple(_answer(asked[node.name], node, replica_set) for node in members)

    def _ask_member(self, node: Node, replica_set: ReplicaSet) -> Server:
        client = self._connections.member(node)
        answers = {
            name: client.admin.command(name) for name in ("serverStatus", "replSetGetStatus")
        }
        held = tuple(self._holdings.of(node.name))
        return Server(node, replica_set, answers, oplog=_oplog(client), held=held)

    def _ask_router(self, node: Node) -> Server:
        client = self._connections.user(node, "monitor", self._access.passwords["monitor"])
        return Server(node, None, {"serverStatus": client.admin.command("serverStatus")})

    def _catalogue(self, config: SetView, until: Callable[[], float]) -> Catalogue | None:
        """Read it from the first config server that answers; the primary is asked first."""
        able = [one for one in config.members if one.state in IN_SERVICE]
        for one in sorted(able, key=lambda server: server.state != "PRIMARY"):
            asked = self._pool.submit(self._read, one.node)
            try:
                return asked.result(until())
            except (PyMongoError, TimeoutError):
                continue
        return None

    def _read(self, node: Node) -> Catalogue:
        client = self._connections.member(node)
        config = client["config"]
        recent = {"time": {"$gt": datetime.now(UTC) - EVENTS}}
        kinds = config["changelog"].aggregate(
            [{"$match": recent}, {"$group": {"_id": "$what", "n": {"$sum": 1}}}]
        )
        version = config["version"].find_one() or {}
        return Catalogue(
            catalogue_of(client),
            {str(kind["_id"]): kind["n"] for kind in kinds},
            str(version.get("clusterId", "")),
        )


def _answer(asked: Future[Server], node: Node, replica_set: ReplicaSet | None) -> Server:
    if not asked.done():
        return Server(node, replica_set, {}, f"no answer within {ALL_SECONDS} s")
    error = asked.exception()
    if error is None:
        return asked.result()
    if not isinstance(error, PyMongoError | ClusterError):
        raise error
    told = short(error) if isinstance(error, PyMongoError) else str(error)
    return Server(node, replica_set, {}, told)


def _oplog(client: Client) -> tuple[int, int] | None:
    """When the oldest and the newest entry of the oplog were written."""
    entries = client["local"]["oplog.rs"]
    ends = [
        entries.find_one({}, {"ts": 1}, sort=[("$natural", way)], max_time_ms=500)
        for way in (1, -1)
    ]
    first, last = ends
    return None if first is None or last is None else (first["ts"].time, last["ts"].time)

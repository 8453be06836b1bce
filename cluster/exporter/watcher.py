"""Takes snapshots: asks all servers of a cluster together, each by two connections at most.

What does not answer in time counts as down: the answer does not wait for it. The connections stay,
so that a server is not logged in to each time. Nothing is counted that grows with the documents.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC
from functools import partial

from pymongo.errors import PyMongoError

from cluster.errors import ClusterError
from cluster.exporter.holdings import Holdings
from cluster.exporter.kept import Keeper
from cluster.exporter.snapshot import (
    IN_SERVICE,
    Catalogue,
    Change,
    Server,
    SetView,
    Snapshot,
)
from cluster.exporter.timeline import Timeline
from cluster.model.layout import Node, ReplicaSet
from cluster.servers.census import catalogue_of
from cluster.servers.connections import Access, Client, short

ANSWER_SECONDS = 1.2
"""For one server to answer one question."""
ALL_SECONDS = 1.7
"""For all of them to answer everything."""
FRESH_SECONDS = 0.5
"""For so long a snapshot is given again, so that two who ask together cost no more than one."""
SELDOM_SECONDS = 20.0
"""After which one is taken though nobody asks, so that the timeline has no holes."""
RENEWED_SECONDS = 30.0
"""After which it is looked whether the cluster has other servers or secrets now."""
CHANGES = 500
"""Changes of the sharding that are read: the collection may have hundreds of thousands."""


class Watcher:
    """Takes snapshots of a cluster until it is closed; safe among threads.

    `find` tells what it takes to reach the servers; it is asked again every RENEWED_SECONDS, so
    that new shards and changed secrets are taken over. Raises ClusterError where it does at first.
    `keeper` knows what backups and drills have left.
    """

    def __init__(self, find: Callable[[], Access], keeper: Keeper | None = None) -> None:
        self._find = find
        self._access = find()
        self._keeper = keeper or Keeper(None, None)
        self._timeline = Timeline()
        self._open()
        self._lock = threading.Lock()
        self._last: Snapshot | None = None
        self._ending = threading.Event()
        self._renewal: Future[Access] | None = None
        self._renewed = time.monotonic()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def _open(self) -> None:
        layout = self._access.layout
        self._connections = self._access.connections(ANSWER_SECONDS, most=1)
        self._pool = ThreadPoolExecutor(len(layout.nodes) + 2, "ask")
        members = [node for one in layout.sets for node in one.members]
        client = self._connections.member
        self._holdings = Holdings((node.name, partial(client, node)) for node in members)

    def close(self) -> None:
        """End all connections, and what is asked in the background."""
        self._ending.set()
        self._keeper.close()
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        self._holdings.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._connections.close()

    def snapshot(self) -> Snapshot:
        """The cluster as it is, or was at most FRESH_SECONDS ago."""
        with self._lock:
            return self._current(FRESH_SECONDS)

    def _watch(self) -> None:
        while not self._ending.wait(SELDOM_SECONDS / 4):
            with self._lock:
                if not self._ending.is_set():
                    self._current(SELDOM_SECONDS)

    def _current(self, seconds: float) -> Snapshot:
        """What was taken at most so long ago, or is taken now. The caller has the lock."""
        last = self._last
        if last is None or time.time() - last.at - last.took > seconds:
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
            self._disconnect()
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
        return self._timeline.add(
            Snapshot(
                at,
                time.monotonic() - began,
                tuple(SetView(one, self._found(one, members)) for one in layout.sets),
                tuple(_answer(routers[node.name], node, None) for node in layout.routers),
                catalogue,
                self._keeper.kept,
            )
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
        version = client["config"]["version"].find_one() or {}
        return Catalogue(catalogue_of(client), _changes(client), str(version.get("clusterId", "")))


def _changes(client: Client) -> tuple[Change, ...]:
    """The latest changes of the sharding, the newest first."""
    told = ("time", "what", "ns", "details.from", "details.to", "details.name", "details.shard")
    newest = client["config"]["changelog"].find({}, dict.fromkeys(told, 1))
    return tuple(
        Change(
            one["time"].replace(tzinfo=UTC),
            str(one["what"]),
            str(one.get("ns", "")),
            one.get("details") or {},
        )
        for one in newest.sort("$natural", -1).limit(CHANGES)
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

"""The moment that a dump shows: one cluster time, and reads of what was there at it.

Every member keeps for a while what its documents were before (`history` sees to it that this is
long enough), and serves `readConcern: {level: "snapshot", atClusterTime: T}`: what was committed
by a majority at T, across shards, wherever chunks have moved since. Nobody waits for such a read.
Source: https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bson import Timestamp
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from cluster.access import Access
from cluster.connect import Connections, short
from cluster.layout import ReplicaSet
from cluster.replica_set import look, states
from cluster.waiting import Waiter

NOTE = {
    "appendOplogNote": 1,
    "data": {"shardstack": "a dump asks for the time"},
    "writeConcern": {"w": "majority", "wtimeout": 5000},
}
PATIENCE = 30.0  # seconds for a shard to have a primary, and a majority behind it


class At(ReadConcern):
    """What was there at one cluster time. (The driver's own knows the level only.)"""

    def __init__(self, time: Timestamp) -> None:
        super().__init__("snapshot")
        self.time = time

    @property
    def document(self) -> dict[str, Any]:
        """As it stands in a command."""
        return {"level": "snapshot", "atClusterTime": self.time}


def next_moment(access: Access) -> Timestamp:
    """A cluster time that every shard has just passed.

    It is the beginning of the second that follows the newest clock of all shards. So whatever was
    acknowledged before the call is in it; and as each shard goes by its own clock, it is one
    moment for all of them as exactly as their hosts' clocks agree. A majority of each shard has
    all of it. Raises DeadlineError when a shard has no primary, or no majority.
    """
    shards = access.layout.shards
    with access.connections() as connections, ThreadPoolExecutor(len(shards)) as pool:
        moment = Timestamp(max(_clocks(connections, shards, pool)).time + 1, 0)
        Waiter(PATIENCE).until(
            lambda: True if min(_clocks(connections, shards, pool)) > moment else None,
            lambda: "a shard's clock is far behind another's. Set the hosts' clocks.",
        )
    return moment


def _clocks(
    connections: Connections, shards: Sequence[ReplicaSet], pool: ThreadPoolExecutor
) -> list[Timestamp]:
    return list(pool.map(lambda shard: _clock(connections, shard), shards))


def _clock(connections: Connections, shard: ReplicaSet) -> Timestamp:
    """The time of an entry in the shard's oplog that a majority has: its clock now, or later."""
    last = ""

    def note() -> Timestamp | None:
        nonlocal last
        for node in shard.members:
            if look(connections, node).state == "PRIMARY":
                try:
                    answer = connections.member(node).admin.command(NOTE)
                except PyMongoError as error:  # an election, or a lock that is held this moment
                    last = f" ({node.name}: {short(error)})"
                else:
                    time: Timestamp = answer["operationTime"]
                    return time
        return None

    return Waiter(PATIENCE).until(
        note, lambda: f"{shard.name} takes no write{last}: {states(connections, shard)}. Run `up`."
    )

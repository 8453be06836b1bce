"""The shards and the config servers as the router calls them; the one failover policy lives here.

A call goes to the primary of a set. When the primary fails, whatever may be repeated without harm
(reads, and writes that carry a transaction number) is repeated on its successor; the client sees
latency, not an error. Anything else fails with what happened.
"""

import asyncio
import time
from collections.abc import Iterable

import bson
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from cluster.router import wire
from cluster.router.connections import Connector, Pools
from cluster.router.errors import NOT_PRIMARY, RETRYABLE, CommandError, GoneError, HostError
from cluster.router.members import WatchedSet, parse_set
from cluster.router.wire import Document

CONFIG = "config"
FAILOVER_SECONDS = 30.0
PAUSE_SECONDS = 0.02  # between two tries that a member itself answered, so as not to storm it


class Reply:
    """A member's answer: `fields` decoded one level deep, `raw` as it came."""

    __slots__ = ("fields", "host", "message")

    def __init__(self, host: str, message: bytes) -> None:
        self.host = host
        self.message = message
        self.fields = wire.parse_reply(message)

    @property
    def raw(self) -> bytes:
        """The encoded document (members answer with one body section, nothing else)."""
        return self.message[21:]

    @property
    def ok(self) -> bool:
        return bool(self.fields.get("ok"))

    @property
    def code(self) -> int:
        """0 when it succeeded."""
        return 0 if self.ok else int(self.fields.get("code", 1))


class Shards:
    """Every replica set of the cluster, by shard id; `CONFIG` names the config servers."""

    def __init__(self, config: str, connector: Connector) -> None:
        """``config`` is ``set/host:port,…``."""
        self.pools = Pools(connector)
        self._config_string = config
        self._sets: dict[str, WatchedSet] = {}
        self._cluster_time: RawBSONDocument | None = None
        self._newest = Timestamp(0, 0)

    def start(self) -> None:
        """Begin to watch the config servers (needs a running event loop)."""
        self._sets[CONFIG] = self._watched(self._config_string)

    def close(self) -> None:
        for replica_set in self._sets.values():
            replica_set.close()
        self.pools.close()

    @property
    def ids(self) -> list[str]:
        """The data shards, sorted."""
        return sorted(self._sets.keys() - {CONFIG})

    def replace(self, listing: Iterable[Document]) -> None:
        """Take over the documents of config.shards as the truth."""
        current = {entry["_id"]: entry["host"] for entry in listing}
        for gone in self.ids:
            if gone not in current:
                self._sets.pop(gone).close()
        for shard, host in current.items():
            if shard not in self._sets and shard != CONFIG:
                self._sets[shard] = self._watched(host)

    def _watched(self, seeds: str) -> WatchedSet:
        return WatchedSet(*parse_set(seeds), self.pools.connector, self.pools.abort)

    def set_of(self, shard: str) -> WatchedSet:
        """The replica set of a shard.

        Raises:
            GoneError: no such shard is known.
        """
        if shard not in self._sets:
            raise GoneError(f"shard {shard} is not part of this cluster")
        return self._sets[shard]

    async def call(
        self, shard: str, command: Document, *, repeatable: bool, seconds: float = FAILOVER_SECONDS
    ) -> Reply:
        """Run a command on the primary of a shard, across a failover if it is repeatable.

        The reply may report failure: only what the failover policy is about is dealt with here.

        Raises:
            GoneError: it is not, or no longer, part of the cluster.
            CommandError: 133, no primary in time; 6, the connection broke under a command that must
                not be repeated.
        """
        replica_set = self.set_of(shard)
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            host = await replica_set.wait_for_primary(left)
            try:
                reply = await self.call_host(host, command)
            except HostError as error:
                replica_set.doubt(host)
                if (error.sent and not repeatable) or left <= 0:
                    raise
                continue
            if not (repeatable and left > 0 and _failed_over(reply)):
                return reply
            if reply.code in NOT_PRIMARY:
                replica_set.doubt(host)
            await asyncio.sleep(PAUSE_SECONDS)

    async def call_host(self, host: str, command: Document) -> Reply:
        """Run a command on one member, once, passing the newest cluster time on.

        Raises:
            HostError: the connection broke.
        """
        if self._cluster_time is not None:
            command["$clusterTime"] = self._cluster_time
        reply = Reply(host, await self.pools.call_raw(host, command))
        operation_time = reply.fields.get("operationTime")
        if operation_time is not None and operation_time > self._newest:
            self._newest = operation_time
            self._cluster_time = reply.fields.get("$clusterTime", self._cluster_time)
        return reply

    async def call_all(self, shards: Iterable[str], command: Document) -> dict[str, Reply]:
        """Run a repeatable command on the primaries of several shards together.

        Raises:
            CommandError: the first failure, as that shard's reply tells it.
        """
        names = list(shards)
        replies = await asyncio.gather(
            *(self.call(name, dict(command), repeatable=True) for name in names)
        )
        for reply in replies:
            if not reply.ok:
                raise CommandError.of_reply(reply.fields)
        return dict(zip(names, replies, strict=True))

    async def config(
        self, command: Document, *, repeatable: bool = True, seconds: float = FAILOVER_SECONDS
    ) -> Document:
        """Run a command on the config primary and return its successful reply.

        Raises:
            CommandError: it failed.
        """
        reply = await self.call(CONFIG, command, repeatable=repeatable, seconds=seconds)
        if not reply.ok:
            raise CommandError.of_reply(reply.fields)
        return reply.fields

    def learn_time(self, offered: object) -> None:
        """Take over a client's ``$clusterTime``, for reads that follow writes made elsewhere.

        One ahead of every clock here is not believed: a client could otherwise push the cluster's
        clock to its end.
        """
        value = offered.get("clusterTime") if isinstance(offered, RawBSONDocument) else None
        if isinstance(value, Timestamp) and self._newest < value and value.time <= time.time() + 1:
            self._newest = value
            self._cluster_time = RawBSONDocument(_unsigned(value))


def _unsigned(value: Timestamp) -> bytes:
    signature = {"hash": bytes(20), "keyId": bson.Int64(0)}
    return bson.encode({"clusterTime": value, "signature": signature})


def _failed_over(reply: Reply) -> bool:
    """The primary gave up while it served the command, so that it must be asked again elsewhere."""
    if not reply.ok:
        return reply.code in RETRYABLE
    concern = reply.fields.get("writeConcernError")
    return concern is not None and concern.get("code") in RETRYABLE

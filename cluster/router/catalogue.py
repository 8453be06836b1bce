"""Where data lives: databases, sharded collections and their chunks, as config servers tell it.

What is read here may be old at any moment. That does no harm: every command that relies on it
carries the version it was made with, and the shard refuses a version that is not its own. Whoever
sees such a refusal calls `forget` and asks again.

It must be the version of the very object that named the shard. Between two looks at the catalogue
it may have been read anew, and an old owner takes a command under its new version: then a write is
told that there is no such document, and a new document is stored where nobody finds it.
"""

import asyncio
import bisect
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from cluster.router import keys
from cluster.router.errors import CommandError
from cluster.router.shards import FAILOVER_SECONDS, PAUSE_SECONDS, Shards
from cluster.router.wire import Document

SHARDS_SECONDS = 10.0
MOMENT_SECONDS = 0.05  # in less, nobody adds a shard and moves a chunk to it
BATCH = 100_000  # of documents in a reply, as far as its 16 MB hold them
NO_SNAPSHOT = frozenset({239, 246})
"""The config server has none of that time, any more or yet (while a collection is being made)."""
UNSHARDED: Document = {"t": Timestamp(0, 0), "e": ObjectId("0" * 24), "v": Timestamp(0, 0)}
ANY_VERSION: Document = {
    "t": Timestamp(0xFFFFFFFF, 0xFFFFFFFF),
    "e": ObjectId("00000000ffffffffffffffff"),
    "v": Timestamp(0, 0),
}
"""Broadcast writes carry it: they are right whatever chunks a shard owns."""


@dataclass(frozen=True, slots=True, eq=False)
class Database:
    """The shard that holds a database's unsharded collections, and the version of that fact."""

    primary: str
    version: Mapping[str, Any]

    @property
    def shards(self) -> list[str]:
        """The shard that holds them, as the only one of a list."""
        return [self.primary]

    def versions_on(self, _: str) -> Document:
        """The version fields that a command on an unsharded collection carries."""
        return {"shardVersion": UNSHARDED, "databaseVersion": self.version}


@dataclass(frozen=True, slots=True)
class Chunk:
    """One range of the key space and its owner."""

    min: Mapping[str, Any]
    max: Mapping[str, Any]
    shard: str


class Collection:
    """A sharded collection: its key, and which shard owns which part of the key space."""

    def __init__(self, entry: Mapping[str, Any], chunks: list[Mapping[str, Any]]) -> None:
        """``entry`` is its document in config.collections; ``chunks`` those in config.chunks."""
        self.namespace: str = entry["_id"]
        self.key: dict[str, Any] = dict(entry["key"].items())
        self.timestamp: Timestamp = entry["timestamp"]
        self.epoch: ObjectId = entry["lastmodEpoch"]
        self.simple_collation = "defaultCollation" not in entry
        self._hashed: list[bool] = [kind == "hashed" for kind in self.key.values()]
        ordered = sorted(
            ((keys.document_point(chunk["min"]), chunk) for chunk in chunks), key=lambda it: it[0]
        )
        self._bounds = [bound for bound, _ in ordered]
        self.chunks = [Chunk(chunk["min"], chunk["max"], chunk["shard"]) for _, chunk in ordered]
        newest: dict[str, Timestamp] = {}
        for chunk in chunks:
            shard, version = chunk["shard"], chunk["lastmod"]
            newest[shard] = max(newest.get(shard, version), version)
        self._versions = {shard: self._version(latest) for shard, latest in newest.items()}

    def _version(self, latest: Timestamp) -> Document:
        return {"t": self.timestamp, "e": self.epoch, "v": latest}

    @property
    def shards(self) -> list[str]:
        """The shards that own a chunk."""
        return sorted(self._versions)

    def versions_on(self, shard: str) -> Document:
        """The version fields that a command to this shard carries."""
        return {"shardVersion": self._versions.get(shard) or self._version(Timestamp(0, 0))}

    def key_of(self, document: Mapping[str, Any]) -> list[Any]:
        """Return a document's shard key values; a field that it lacks counts as null."""
        return [_lookup(document, path) for path in self.key]

    def chunk_at(self, values: list[Any], *, hashed_already: bool = False) -> Chunk:
        """Return the chunk that holds a shard key's values, hashed here where the key is.

        Raises:
            keys.UnplaceableError: the router cannot tell.
        """
        return self.chunks[self._index(self._spot(values, hashed_already=hashed_already))]

    def shards_of(self, values: list[Any]) -> set[str]:
        """The shards that may own documents whose shard keys begin with these values.

        Raises:
            keys.UnplaceableError: the router cannot tell.
        """
        spot, rest = self._spot(values), len(self.key) - len(values)
        low, high = ((keys.point(end),) * rest for end in (MinKey(), MaxKey()))
        within = self.chunks[self._index(spot + low) : self._index(spot + high) + 1]
        return {chunk.shard for chunk in within}

    def _spot(self, values: list[Any], *, hashed_already: bool = False) -> keys.Point:
        hashing = [False] * len(values) if hashed_already else self._hashed
        pairs = zip(values, hashing, strict=False)
        return tuple(keys.point(keys.hashed(v) if hashed else v) for v, hashed in pairs)

    def _index(self, spot: keys.Point) -> int:
        return bisect.bisect_right(self._bounds, spot) - 1

    def is_hashed_at(self, position: int) -> bool:
        """Whether the field at this position of the key is hashed."""
        return self._hashed[position]


def _lookup(document: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(document, Mapping) or part not in document:
            return None
        document = document[part]
    return document


class Catalogue:
    """The cache. Any number of callers who miss the same entry cause one read of it."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._databases: dict[str, Database] = {}
        self._collections: dict[str, Collection | None] = {}
        self._loading: dict[str, asyncio.Future[Any]] = {}
        self._shards_read = 0.0

    async def load_shards(self, seconds: float = FAILOVER_SECONDS) -> None:
        """Read the list of shards; what is cached may name one that is gone, so it goes with it."""
        begun = time.monotonic()
        listed, _ = await self._read("shards", {}, {"level": "majority"}, seconds)
        self._shards_read = begun
        gone = set(self._shards.ids) - {entry["_id"] for entry in listed}
        self._shards.replace(listed)
        if gone:
            self.forget_all()

    async def keep_shards(self) -> None:
        """Read the list of shards now and then, for those added or removed by other routers."""
        while True:
            await asyncio.sleep(SHARDS_SECONDS)
            with contextlib.suppress(CommandError):  # no config primary now: next time
                await self.load_shards()

    async def renew_shards(self) -> None:
        """Read the list of shards, unless that was a moment ago, or no config server can tell."""
        if time.monotonic() - self._shards_read > MOMENT_SECONDS:
            with contextlib.suppress(CommandError):
                await self._once("", lambda: self.load_shards(seconds=0))

    async def database(self, name: str) -> Database | None:
        """The database, or None when it does not exist."""
        if name in self._databases:
            return self._databases[name]
        return await self._once(name, lambda: self._load_database(name))  # type: ignore[no-any-return]  # the cache is of both kinds

    async def collection(self, namespace: str) -> Collection | None:
        """The sharded collection ``db.name``, or None when it is unsharded or does not exist."""
        if namespace in self._collections:
            return self._collections[namespace]
        return await self._once(namespace, lambda: self._load_collection(namespace))  # type: ignore[no-any-return]  # the cache is of both kinds

    async def ensure_database(self, name: str) -> Database:
        """The database, created (on the shard with the least data) when it does not exist."""
        found = await self.database(name)
        if found is None:
            create = {"_configsvrCreateDatabase": name, "$db": "admin"}
            await self._shards.config({**create, "writeConcern": {"w": "majority"}})
            self.forget(name)
            found = await self.database(name)
        if found is None:
            raise CommandError(26, f"database {name} was dropped while it was being created")
        return found

    def forget(self, namespace: str) -> None:
        """Drop what is cached of ``db.name`` and of its database, or of a whole database."""
        name = namespace.partition(".")[0]
        self._databases.pop(name, None)
        self._collections.pop(namespace, None)
        if namespace == name:
            for known in [key for key in self._collections if key.startswith(name + ".")]:
                del self._collections[known]

    def forget_all(self) -> None:
        """Drop everything that is cached."""
        self._databases.clear()
        self._collections.clear()

    async def find(self, collection: str, query: Document) -> list[Any]:
        """Return all documents of ``config.<collection>`` that match, majority-committed."""
        return (await self._read(collection, query, {"level": "majority"}))[0]

    async def _read(
        self,
        collection: str,
        query: Document,
        concern: Document,
        seconds: float = FAILOVER_SECONDS,
    ) -> tuple[list[Any], Timestamp | None]:
        """As `find`, under a read concern; a snapshot's cluster time is returned as well."""
        command = {"find": collection, "filter": query, "batchSize": BATCH, "$db": "config"}
        reply = await self._shards.config({**command, "readConcern": concern}, seconds=seconds)
        cursor = reply["cursor"]
        found, at = list(cursor["firstBatch"]), cursor.get("atClusterTime")
        while cursor["id"]:
            more = {"getMore": cursor["id"], "collection": collection, "$db": "config"}
            cursor = (await self._shards.config(more, repeatable=False))["cursor"]
            found += cursor["nextBatch"]
        return found, at

    async def _load_database(self, name: str) -> Database | None:
        found = await self.find("databases", {"_id": name})
        if not found:
            return None  # not kept: nothing would tell this router when another one creates it
        entry = found[0]
        if entry["primary"] not in self._shards.ids:
            await self.load_shards()
        self._databases[name] = Database(entry["primary"], entry["version"])
        return self._databases[name]

    async def _load_collection(self, namespace: str) -> Collection | None:
        deadline = time.monotonic() + FAILOVER_SECONDS
        while True:
            try:
                found, chunks = await self._read_collection(namespace)
                break
            except CommandError as error:
                if error.code not in NO_SNAPSHOT or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)
        if not found or found[0].get("unsplittable"):
            self._collections[namespace] = None
            return None
        if not chunks:  # it is being dropped
            return None
        if not {chunk["shard"] for chunk in chunks} <= set(self._shards.ids):
            await self.load_shards()
        self._collections[namespace] = Collection(found[0], chunks)
        return self._collections[namespace]

    async def _read_collection(self, namespace: str) -> tuple[list[Any], list[Any]]:
        """Its document in config.collections and its chunks, all as of one cluster time.

        A move changes two chunks: the one that moves, and one that stays, which gets the old
        owner's new version. A read that is not a snapshot may see the one before and the other
        after it, and so the old owner of the chunk with the version that it takes.
        """
        query = {"_id": namespace, "dropped": {"$ne": True}}
        found, at = await self._read("collections", query, {"level": "snapshot"})
        if not found:
            return [], []
        concern = {"level": "snapshot", "atClusterTime": at}
        return found, (await self._read("chunks", {"uuid": found[0]["uuid"]}, concern))[0]

    async def _once(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """Share one load between all who want the same entry at the same time."""
        running = self._loading.get(key)
        if running is None:
            running = asyncio.ensure_future(load())
            self._loading[key] = running
            running.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(running)

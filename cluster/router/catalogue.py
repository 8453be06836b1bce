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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from cluster.router import keys
from cluster.router.errors import CommandError
from cluster.router.shards import Shards
from cluster.router.wire import Document

SHARDS_SECONDS = 10.0
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

    async def load_shards(self) -> None:
        """Read the list of shards; what is cached may name one that is gone, so it goes with it."""
        listed = await self.find("shards", {})
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

    async def find(self, collection: str, query: Document, **options: Any) -> list[Any]:
        """Return all documents of ``config.<collection>`` that match, majority-committed."""
        command = {"find": collection, "filter": query, **options, "$db": "config"}
        reply = await self._shards.config({**command, "readConcern": {"level": "majority"}})
        cursor = reply["cursor"]
        found = list(cursor["firstBatch"])
        while cursor["id"]:
            more = {"getMore": cursor["id"], "collection": collection, "$db": "config"}
            cursor = (await self._shards.config(more, repeatable=False))["cursor"]
            found += cursor["nextBatch"]
        return found

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
        found = await self.find("collections", {"_id": namespace, "dropped": {"$ne": True}})
        if not found or found[0].get("unsplittable"):
            self._collections[namespace] = None
            return None
        chunks = await self.find("chunks", {"uuid": found[0]["uuid"]}, batchSize=100_000)
        if not chunks:  # dropped between the two reads
            return None
        if not {chunk["shard"] for chunk in chunks} <= set(self._shards.ids):
            await self.load_shards()
        self._collections[namespace] = Collection(found[0], chunks)
        return self._collections[namespace]

    async def _once(self, key: str, load: Callable[[], Awaitable[Any]]) -> Any:
        """Share one load between all who want the same entry at the same time."""
        running = self._loading.get(key)
        if running is None:
            running = asyncio.ensure_future(load())
            self._loading[key] = running
            running.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(running)

"""A command's shard and the version that it carries there come from one picture of the chunks.

A shard takes what carries its present version to be routed rightly. An old owner under the version
that it has since the chunk left would find no document, and the client be told so; a new document
would be stored where nobody reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from cluster.router import admin, reads, writes
from cluster.router.catalogue import Catalogue, Collection, Database
from cluster.router.context import Handler
from cluster.router.errors import CommandError
from cluster.router.shards import Shards
from tests.unit.cluster.router.fakes import FakeShards, context, raw

BEFORE, AFTER = Timestamp(1, 0), Timestamp(2, 0)
EPOCH = ObjectId()


def picture(owner: str, version: Timestamp) -> Collection:
    """Documents below 0 are on shard a; those from 0 on belong to `owner` since `version`."""
    entry = {"_id": "db.c", "key": {"x": 1}, "timestamp": Timestamp(1, 1), "lastmodEpoch": EPOCH}
    low: dict[str, Any] = {"min": {"x": MinKey()}, "max": {"x": 0}, "shard": "a"}
    high: dict[str, Any] = {"min": {"x": 0}, "max": {"x": MaxKey()}, "shard": owner}
    return Collection(entry, [{**low, "lastmod": version}, {**high, "lastmod": version}])


class MovingCatalogue:
    """Shows the chunk on shard a once, and on shard b from then on."""

    def __init__(self) -> None:
        self._shown = iter([picture("a", BEFORE)])

    async def collection(self, _: str) -> Collection:
        return next(self._shown, picture("b", AFTER))

    async def database(self, _: str) -> Database:
        return Database("a", {})

    ensure_database = database


async def answer(_: str, __: Mapping[str, Any]) -> dict[str, Any]:
    cursor = {"id": 0, "ns": "db.c", "firstBatch": [{"x": 5}]}
    return {"n": 1, "nModified": 1, "value": {"x": 5}, "values": [], "cursor": cursor}


QUERY = raw({"x": 5})
UPDATE = raw({"q": {"x": 5}, "u": {"$inc": {"n": 1}}})
BY_ID = raw({"q": {"_id": 5}, "u": {"$inc": {"n": 1}}})


@pytest.mark.parametrize(
    ("handler", "command"),
    [
        (writes.write, {"update": "c", "updates": [UPDATE]}),
        (writes.write, {"update": "c", "updates": [UPDATE], "ordered": False}),
        (writes.write, {"update": "c", "updates": [UPDATE], "txnNumber": 1, "lsid": {"id": 1}}),
        (writes.write, {"insert": "c", "documents": [QUERY]}),
        (writes.write, {"update": "c", "updates": [BY_ID]}),
        (writes.write, {"delete": "c", "deletes": [raw({"q": {"x": 5}, "limit": 1})]}),
        (writes.find_and_modify, {"findAndModify": "c", "query": QUERY, "update": {}}),
        (reads.find, {"find": "c", "filter": QUERY}),
        (reads.distinct, {"distinct": "c", "key": "x"}),
        (reads.count, {"count": "c"}),
        (admin.list_indexes, {"listIndexes": "c"}),
    ],
    ids=lambda it: repr(it)[:40] if isinstance(it, dict) else "",
)
def test_the_shard_and_its_version(handler: Handler, command: dict[str, Any]) -> None:
    shards = FakeShards(answer)
    asyncio.run(handler(context(command, shards, MovingCatalogue())))
    sent = {(shard, command["shardVersion"]["v"]) for shard, command in shards.sent}
    assert sent
    assert sent <= {("a", BEFORE), ("b", AFTER)}


class ConfigServers:
    """Answer reads of config.collections and config.chunks; the first one with a failure."""

    ids = ("a",)

    def __init__(self, failures: list[int]) -> None:
        self.concerns: list[tuple[str, Any]] = []
        self._failures = failures

    async def config(self, command: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        if self._failures:
            raise CommandError(self._failures.pop(), "not now")
        self.concerns.append((command["find"], command["readConcern"]))
        entry: dict[str, Any] = {"_id": "db.c", "uuid": 1, "key": {"x": 1}}
        entry |= {"timestamp": Timestamp(1, 1), "lastmodEpoch": EPOCH}
        chunk: dict[str, Any] = {"min": {"x": MinKey()}, "max": {"x": MaxKey()}, "shard": "a"}
        batch = [entry] if command["find"] == "collections" else [{**chunk, "lastmod": BEFORE}]
        return {"cursor": {"id": 0, "firstBatch": batch, "atClusterTime": AFTER}}


@pytest.mark.parametrize("failures", [[], [246], [239, 246]], ids=str)
def test_a_picture_is_of_one_moment(failures: list[int]) -> None:
    servers = ConfigServers(failures)
    collection = asyncio.run(Catalogue(cast(Shards, servers)).collection("db.c"))
    assert collection is not None
    assert servers.concerns == [
        ("collections", {"level": "snapshot"}),
        ("chunks", {"level": "snapshot", "atClusterTime": AFTER}),
    ]


def test_a_failure_that_will_not_pass_is_told() -> None:
    servers = ConfigServers([133])
    with pytest.raises(CommandError, match="not now"):
        asyncio.run(Catalogue(cast(Shards, servers)).collection("db.c"))

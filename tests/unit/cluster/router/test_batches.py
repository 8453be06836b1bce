"""Several statements in one command, and several shards for one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from cluster.router.catalogue import MOMENT_SECONDS, Catalogue, Collection, Database
from cluster.router.errors import CommandError, GoneError
from cluster.router.shards import Shards
from cluster.router.writes import write
from tests.unit.cluster.router.fakes import FakeShards, context, raw


def by_x(other: str) -> Collection:
    """Sharded by x: below 0 on shard a, from 0 on on the other one."""
    entry = {"_id": "db.c", "key": {"x": 1}, "timestamp": Timestamp(1, 1)}
    low = {"min": {"x": MinKey()}, "max": {"x": 0}, "shard": "a", "lastmod": Timestamp(1, 0)}
    high = {"min": {"x": 0}, "max": {"x": MaxKey()}, "shard": other, "lastmod": Timestamp(1, 1)}
    return Collection({**entry, "lastmodEpoch": ObjectId()}, [low, high])


class FixedCatalogue:
    """Nothing moves."""

    def __init__(self, other: str = "b") -> None:
        self._collection = by_x(other)

    async def collection(self, _: str) -> Collection:
        return self._collection

    async def ensure_database(self, _: str) -> Database:
        return Database("a", {})

    def forget(self, _: str) -> None:
        pass

    async def renew_shards(self) -> None:
        pass


def update(query: dict[str, Any], *, multi: bool = False) -> Any:
    return raw({"q": query, "u": {"$inc": {"n": 1}}, "multi": multi})


def queries(shards: FakeShards) -> list[tuple[str, list[dict[str, Any]]]]:
    """Who was sent which queries."""
    return [
        (shard, [dict(one["q"].items()) for one in command["updates"]])
        for shard, command in shards.sent
    ]


@pytest.mark.parametrize("others", [[{"x": 1}], [{"x": -1}], [{"x": 1}, {"x": -1}]], ids=str)
def test_a_document_is_looked_for_whatever_else_is_found_meanwhile(
    others: list[dict[str, Any]],
) -> None:
    """Sharded by another key, an _id may be on any shard, and is on the last one that is asked."""

    async def answer(shard: str, command: Mapping[str, Any]) -> dict[str, Any]:
        if "_id" in command["updates"][0]["q"]:
            await asyncio.sleep(0.01)  # until the other statements have found theirs
            return {"n": int(shard == "b"), "nModified": int(shard == "b")}
        return {"n": 1, "nModified": 1}

    shards = FakeShards(answer)
    statements = [update(query) for query in [{"_id": 7}, *others]]
    command = {"update": "c", "updates": statements, "ordered": False}
    answered = asyncio.run(write(context(command, shards, FixedCatalogue())))
    assert answered["n"] == len(statements)
    assert [shard for shard, sent in queries(shards) if {"_id": 7} in sent] == ["a", "b"]


@pytest.mark.parametrize("owners", ["a", "ab"])
def test_an_ordered_run_by_id_ends_at_the_first_error(owners: str) -> None:
    async def answer(_: str, __: Mapping[str, Any]) -> dict[str, Any]:
        return {"n": 0, "writeErrors": [{"index": 0, "code": 66, "errmsg": "immutable"}]}

    shards = FakeShards(answer)
    command = {"update": "c", "updates": [update({"_id": 7}), update({"_id": 8})]}
    answered = asyncio.run(write(context(command, shards, FixedCatalogue(owners[-1]))))
    assert [error["index"] for error in answered["writeErrors"]] == [0]
    assert queries(shards) == [("a", [{"_id": 7}])]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_write_to_all_is_not_repeated_because_a_shard_has_left(*, ordered: bool) -> None:
    async def answer(shard: str, _: Mapping[str, Any]) -> dict[str, Any]:
        if shard == "b":
            shards.ids = ("a",)
            raise GoneError("b has left the cluster")
        return {"n": 5, "nModified": 5}

    shards = FakeShards(answer)
    command = {"update": "c", "updates": [update({}, multi=True)], "ordered": ordered}
    answered = asyncio.run(write(context(command, shards, FixedCatalogue())))
    assert answered["n"] == 5
    assert queries(shards) == [("a", [{}]), ("b", [{}])]


class ConfigServers(FakeShards):
    """A third shard is being added, by another router."""

    def __init__(self) -> None:
        super().__init__(find_one)
        self.listed: list[str] | None = ["a", "b"]
        self.asked = 0

    async def config(self, command: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        self.asked += 1
        if self.listed is None:
            raise CommandError(133, "no primary")
        assert command["find"] == "shards"
        return {"cursor": {"id": 0, "firstBatch": [{"_id": shard} for shard in self.listed]}}

    def replace(self, listing: list[Mapping[str, Any]]) -> None:
        self.ids = tuple(entry["_id"] for entry in listing)


async def find_one(_: str, __: Mapping[str, Any]) -> dict[str, Any]:
    return {"n": 1, "nModified": 1}


class KnownCollection(Catalogue):
    """Has the collection in its memory."""

    def __init__(self, servers: ConfigServers) -> None:
        super().__init__(cast(Shards, servers))
        self._collections["db.c"] = by_x("b")
        self._databases["db"] = Database("a", {})


def test_a_write_to_all_reaches_a_shard_that_another_router_has_added() -> None:
    async def run() -> None:
        servers = ConfigServers()
        catalogue = KnownCollection(servers)

        async def written(*, bulk: int = 1) -> int:
            statements = [update({}, multi=True)] * bulk
            command = {"update": "c", "updates": statements, "ordered": False}
            answered = await write(context(command, servers, catalogue))
            return int(answered["n"])

        assert await written() == 2
        servers.listed = ["a", "b", "c"]
        await asyncio.sleep(2 * MOMENT_SECONDS)
        assert await written() == 3
        await asyncio.sleep(2 * MOMENT_SECONDS)
        servers.asked = 0
        assert await written(bulk=100) == 3  # the fake shard answers a message, not its statements
        assert servers.asked < 50, "not for every statement"
        servers.listed = None
        await asyncio.sleep(2 * MOMENT_SECONDS)
        assert await written() == 3

    asyncio.run(run())

"""What a command's handler needs, without any server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import bson
from bson.raw_bson import RawBSONDocument

from cluster.router import wire
from cluster.router.catalogue import Catalogue
from cluster.router.context import Context, Defaults, Services
from cluster.router.cursors import Cursors
from cluster.router.identity import Identities, Login
from cluster.router.shards import Reply, Shards


class FakeShards:
    """Shards a and b: takes down what is sent to each; a function answers."""

    def __init__(
        self, answer: Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
    ) -> None:
        self.ids: tuple[str, ...] = ("a", "b")
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self._answer = answer

    async def call(self, shard: str, command: Mapping[str, Any], **_: Any) -> Reply:
        self.sent.append((shard, command))
        document = {**await self._answer(shard, command), "ok": 1.0}
        return Reply("host:1", wire.encode_reply(1, 0, bson.encode(document)))


class NoDefaults:
    """No default read or write concern is set."""

    async def get(self, _: str) -> None:
        return None


def context(command: dict[str, Any], shards: FakeShards, catalogue: Any) -> Context:
    """A command on the database db."""
    services = Services(
        cast(Shards, shards),
        cast(Catalogue, catalogue),
        Cursors(),
        cast(Identities, None),
        cast(Defaults, NoDefaults()),
    )
    return Context(services, Login(), next(iter(command)), command, "db")


def raw(document: dict[str, Any]) -> RawBSONDocument:
    """A document as it comes from a client."""
    return RawBSONDocument(bson.encode(document), wire.RAW)

"""Inserts, updates, deletes and findAndModify.

Every statement goes to the shard that owns its shard key, with that shard's own version, as
mongos does it; so session and transaction number pass through, and a write that is sent again (by
the driver or by the router, after a failover or a migration) is applied once.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument

from cluster.router import wire
from cluster.router.catalogue import Collection, Database
from cluster.router.context import Context, Patience
from cluster.router.errors import RETRYABLE, STALE, CommandError, GoneError
from cluster.router.shards import Reply
from cluster.router.targeting import Route, chunk_of_query, route_of, source_of
from cluster.router.wire import Document

LISTS = {"insert": "documents", "update": "updates", "delete": "deletes"}


@dataclass
class Written:
    """What has come of a write command's statements so far, with their original positions."""

    n: int = 0
    modified: int = 0
    upserted: list[Document] = field(default_factory=list)
    errors: list[Document] = field(default_factory=list)
    concern_error: Any = None
    times: Document = field(default_factory=dict)

    def document(self, name: str) -> Document:
        answer: Document = {"n": self.n}
        if name == "update":
            answer["nModified"] = self.modified
        if self.upserted:
            answer["upserted"] = self.upserted
        if self.errors:
            answer["writeErrors"] = sorted(self.errors, key=lambda error: error["index"])
        if self.concern_error is not None:
            answer["writeConcernError"] = self.concern_error
        return {**answer, "ok": 1.0, **self.times}


async def write(context: Context) -> Document:
    """Run an insert, update or delete command."""
    statements = _statements(context)
    command = await context.with_concern(write=True)
    await context.services.catalogue.ensure_database(context.db)
    batch = _Batch(context, command, statements)
    if command.get("ordered", True):
        await batch.run_in_order()
    else:
        await batch.run_in_any_order()
    return batch.outcome.document(context.name)


def _statements(context: Context) -> list[RawBSONDocument]:
    name = LISTS[context.name]
    listed = context.sent.get(name)
    if not isinstance(listed, list) or not 1 <= len(listed) <= 100_000:
        raise CommandError(9, f"{context.name} needs {name}: a list of 1 to 100000 documents")
    if not all(isinstance(statement, RawBSONDocument) for statement in listed):
        raise CommandError(14, f"every element of {name} must be a document")
    return [with_id(doc) for doc in listed] if context.name == "insert" else listed


def with_id(document: RawBSONDocument) -> RawBSONDocument:
    """The document, with an ``_id`` put first if the client left it out, as mongos does."""
    if "_id" in document:
        return document
    element = bson.encode({"_id": ObjectId()})[4:-1]
    rest = document.raw[4:]
    return RawBSONDocument(
        (4 + len(element) + len(rest)).to_bytes(4, "little") + element + rest, wire.RAW
    )


@dataclass(frozen=True)
class _Result:
    """How one shard answered the statements that it was sent."""

    again: list[int] = field(default_factory=list)
    """The numbers of those that are to be sent again, perhaps to another shard."""
    settled: bool = False
    """It found a document, or refused a statement for good: no other shard need be asked."""


class _Batch:
    def __init__(
        self, context: Context, command: Document, statements: list[RawBSONDocument]
    ) -> None:
        self.context = context
        self.statements = statements
        self.outcome = Written()
        self._command = {key: value for key, value in command.items() if key != LISTS[context.name]}
        self._session = context.session

    async def run_in_order(self) -> None:
        """One run of neighbours with the same route after the other, up to the first error."""
        position = 0
        patience = Patience(self.context.seconds)
        while position < len(self.statements) and not self.outcome.errors:
            route = await self._route(self.statements[position])
            stop = position + 1
            if route.source is not None and not route.single:
                while (
                    stop < len(self.statements)
                    and await self._route(self.statements[stop]) == route
                ):
                    stop += 1
            again = await self._send(route, list(range(position, stop)), ordered=True)
            position = min(again, default=stop)
            if again:
                await self._freshen(patience)
            else:
                patience = Patience(self.context.seconds)

    async def run_in_any_order(self) -> None:
        """All routes together; what was refused as stale is routed anew."""
        pending = list(range(len(self.statements)))
        patience = Patience(self.context.seconds)
        while pending:
            groups: dict[Route, list[int]] = {}
            for index in pending:
                groups.setdefault(await self._route(self.statements[index]), []).append(index)
            results = await asyncio.gather(
                *(self._send(route, indexes, ordered=False) for route, indexes in groups.items())
            )
            pending = sorted(index for again in results for index in again)
            if pending:
                await self._freshen(patience)

    async def _freshen(self, patience: Patience) -> None:
        namespace = self.context.namespace
        self.context.services.catalogue.forget(namespace)
        if not await patience.pause():
            raise CommandError(13388, f"{namespace} kept moving for {self.context.seconds:.0f} s")

    async def _route(self, statement: RawBSONDocument) -> Route:
        return await route_of(self.context, statement)

    async def _send(self, route: Route, indexes: list[int], *, ordered: bool) -> list[int]:
        """Send some statements along one route; return those to send again, routed anew."""
        if route.single:
            return await self._send_singly(route, indexes, ordered=ordered)
        results = await asyncio.gather(
            *(self._send_to(shard, route, indexes, ordered) for shard in route.shards)
        )
        return sorted({index for result in results for index in result.again})

    async def _send_singly(self, route: Route, indexes: list[int], *, ordered: bool) -> list[int]:
        """Try each statement on one shard after the other, until one has found its document.

        Sent to all of them together, it would change a document on each that has one: the _id of a
        collection that is sharded by another key is unique on each shard only.
        """
        again: list[int] = []
        for index in indexes:
            for shard in route.shards:
                result = await self._send_to(shard, route, [index], ordered)
                again += result.again
                if result.again or result.settled:
                    break
        return again

    async def _send_to(
        self, shard: str, route: Route, indexes: list[int], ordered: bool
    ) -> _Result:
        command = {
            **self._command,
            LISTS[self.context.name]: [self.statements[index] for index in indexes],
            "ordered": ordered,
            **route.versions_on(shard),
            **self._session,
        }
        if self._session:
            command["stmtIds"] = indexes
        try:
            reply = await self.context.run(shard, command, repeatable=bool(self._session))
        except GoneError:
            # What goes to all shards has been sent to those that got its documents: not twice.
            return _Result(again=indexes if route.source else [])
        return self._take_in(reply, indexes, ordered)

    def _take_in(self, reply: Reply, indexes: list[int], ordered: bool) -> _Result:
        fields, outcome = reply.fields, self.outcome
        for name in ("operationTime", "$clusterTime"):
            if name in fields:
                outcome.times[name] = fields[name]
        if not reply.ok:
            if reply.code in STALE:
                return _Result(again=indexes)
            if reply.code in RETRYABLE:
                raise CommandError.of_reply(fields)
            text = {"code": reply.code, "errmsg": fields.get("errmsg", "")}
            outcome.errors += [{"index": i, **text} for i in (indexes[:1] if ordered else indexes)]
            return _Result(settled=True)
        outcome.n += fields.get("n", 0)
        outcome.modified += fields.get("nModified", 0)
        outcome.concern_error = outcome.concern_error or fields.get("writeConcernError")
        for entry in fields.get("upserted", ()):
            outcome.upserted.append({**entry, "index": indexes[entry["index"]]})
        again: list[int] = []
        settled = bool(fields.get("n"))
        for error in fields.get("writeErrors", ()):
            if error["code"] in STALE:
                again += indexes[error["index"] :] if ordered else [indexes[error["index"]]]
            else:
                outcome.errors.append({**error, "index": indexes[error["index"]]})
                settled = True
        return _Result(again, settled)


async def find_and_modify(context: Context) -> bytes:
    """findAndModify: one document, found by its shard key."""
    command = await context.with_concern(write=True)
    await context.services.catalogue.ensure_database(context.db)
    session = context.session

    async def attempt() -> Reply:
        shard, source = await _owner(context, command)
        versioned = {**command, **source.versions_on(shard), **session}
        return await context.run(shard, versioned, repeatable=bool(session))

    reply = await context.until_fresh(attempt, context.namespace)
    if not reply.ok:
        raise CommandError.of_reply(reply.fields)
    return reply.raw


async def _owner(context: Context, command: Mapping[str, Any]) -> tuple[str, Collection | Database]:
    collection = await source_of(context)
    if isinstance(collection, Database):
        return collection.primary, collection
    query = command.get("query", {})
    chunk = await chunk_of_query(context, collection, query, command.get("collation"))
    if chunk is None:
        raise CommandError(
            61, f"Query for sharded findAndModify must contain the shard key {list(collection.key)}"
        )
    return chunk.shard, collection

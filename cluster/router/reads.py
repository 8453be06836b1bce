"""find, aggregate, count and distinct, and the cursors that they hand out: getMore, killCursors.

A find that concerns one shard goes there, also while no config server runs. Everything that may
concern several, or is read at an earlier cluster time, goes to the router that is built into every
shard member (clusterFind, clusterAggregate), which targets, merges and sorts by itself.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import bson
from bson.int64 import Int64

from cluster.router import wire
from cluster.router.catalogue import Collection
from cluster.router.context import Answer, Context, result
from cluster.router.cursors import Cursor
from cluster.router.errors import NOT_PRIMARY, RETRYABLE, CommandError, HostError
from cluster.router.shards import Reply
from cluster.router.targeting import (
    chunk_of_query,
    existing_source_of,
    shards_of_query,
    source_of,
)
from cluster.router.wire import Document


def hand_out(context: Context, reply: Reply, more: str) -> Answer:
    """Pass a reply on; if it leaves a cursor open, under an id of the router's own."""
    raw = result(reply)
    cursor = reply.fields.get("cursor")
    if not isinstance(cursor, Mapping) or not cursor.get("id"):
        return raw
    opened = Cursor(reply.host, cursor["id"], cursor["ns"], more, context.login.name)
    own = context.services.cursors.register(opened)
    return {**reply.fields, "cursor": {**cursor, "id": Int64(own)}}


async def get_more(context: Context) -> Answer:
    own = context.sent["getMore"]
    namespace = f"{context.db}.{context.command.get('collection')}"
    cursors = context.services.cursors
    cursor = cursors.get(own, namespace, context.login.name)
    command = {key: value for key, value in context.command.items() if key != "getMore"}
    command = {cursor.more: Int64(cursor.id), **command, "$db": context.db}
    try:
        reply = await context.services.shards.call_host(cursor.host, command)
    except HostError as error:
        cursors.forget(own)
        raise CommandError(43, f"cursor id {own} is gone: {error}") from None
    if not reply.ok:
        cursors.forget(own)
        if reply.code in NOT_PRIMARY | RETRYABLE:
            raise CommandError(43, f"cursor id {own} is gone: {reply.fields.get('errmsg')}")
    raw = result(reply)
    batch = reply.fields["cursor"]
    if not batch["id"]:
        cursors.forget(own)
        return raw
    return {**reply.fields, "cursor": {**batch, "id": Int64(own)}}


async def kill_cursors(context: Context) -> Document:
    """Close cursors; one that several shards feed is left to its members' own time-out."""
    killed, missing = [], []
    for own in context.command.get("cursors") or []:
        try:
            cursor = context.services.cursors.get(own, context.namespace, context.login.name)
        except CommandError:
            missing.append(own)
            continue
        context.services.cursors.forget(own)
        killed.append(own)
        command = {
            "killCursors": context.collection,
            "cursors": [Int64(cursor.id)],
            "$db": context.db,
        }
        try:
            await context.services.shards.call_host(cursor.host, command)
        except HostError:
            continue  # a dead member holds no cursor
    none: list[Any] = []
    lists = {"cursorsKilled": killed, "cursorsNotFound": missing}
    return {**lists, "cursorsAlive": none, "cursorsUnknown": none, "ok": 1.0}


VIEW = 169
UNSERVED_STAGES = {
    "$changeStream": "change streams are",
    "$changeStreamSplitLargeEvent": "change streams are",
}


async def find(context: Context) -> Answer:
    command = await context.with_concern(write=False)
    if command.get("tailable") or command.get("awaitData"):
        raise CommandError(
            115, "tailable cursors are not served by the stand-in router; use a real mongos"
        )
    query = command.get("filter", {})
    more = "getMore" if context.wants_primary else "clusterGetMore"
    past = _of_the_past(command)

    async def attempt() -> Reply:
        nonlocal more
        source = None if past else await existing_source_of(context)
        shard: str | None = None
        if isinstance(source, Collection):
            shard = await _only_shard(context, source, query, command.get("collation"))
        elif source is not None:
            shard = source.primary
        if source is not None and shard is not None and more == "getMore":
            reply = await context.run(shard, {**command, **source.versions_on(shard)})
            if reply.code != VIEW:
                return reply
        more = "clusterGetMore"
        # A session's next read waits for the time that this one tells, which is the asked shard's:
        # of the shard with the documents it is one that they had reached.
        return await anywhere(context, _renamed(command, "find", "clusterFind"), first=shard)

    reply = await context.until_fresh(attempt, context.namespace)
    return hand_out(context, reply, more)


def _of_the_past(command: Mapping[str, Any]) -> bool:
    """Whether it reads at a cluster time: then those who owned the chunks at that time are asked.

    The router inside a shard member knows who did; this router knows the present owners only.
    """
    concern = command.get("readConcern")
    return isinstance(concern, Mapping) and "atClusterTime" in concern


async def _only_shard(
    context: Context, collection: Collection, query: Any, collation: Any
) -> str | None:
    chunk = await chunk_of_query(context, collection, query, collation)
    if chunk is not None:
        return chunk.shard
    shards = shards_of_query(collection, query, collation)
    return shards.pop() if len(shards) == 1 else None


async def aggregate(context: Context) -> Answer:
    """Run a pipeline through the router inside a shard member."""
    command = await context.with_concern(write=False)
    _assert_served(command.get("pipeline"))
    if command["aggregate"] == 1:
        return hand_out(context, await _database_level(context, command), "getMore")
    renamed = _renamed(command, "aggregate", "clusterAggregate")
    repeatable = not writes_out(command.get("pipeline"))

    async def attempt() -> Reply:
        return await anywhere(context, renamed, repeatable=repeatable)

    reply = await context.until_fresh(attempt, context.namespace)
    return hand_out(context, reply, "clusterGetMore")


def writes_out(pipeline: Any) -> bool:
    """Whether a pipeline ends in $out or $merge."""
    last = pipeline[-1] if isinstance(pipeline, list) and pipeline else None
    return isinstance(last, Mapping) and ("$out" in last or "$merge" in last)


def _assert_served(pipeline: Any) -> None:
    if not isinstance(pipeline, list) or not all(isinstance(stage, Mapping) for stage in pipeline):
        raise CommandError(14, "pipeline must be a list of stages")
    for name in (next(iter(stage), "") for stage in pipeline):
        if name in UNSERVED_STAGES:
            what = UNSERVED_STAGES[name]
            raise CommandError(115, f"{what} not served by the stand-in router; use a real mongos")


async def _database_level(context: Context, command: Document) -> Reply:
    """``aggregate: 1``: $currentOp, $listSessions, $documents; on the database's own shard."""
    database = await context.services.catalogue.database(context.db)
    shard = database.primary if database else context.services.shards.ids[0]
    return await context.run(shard, command)


async def anywhere(
    context: Context, command: Document, *, repeatable: bool = True, first: str | None = None
) -> Reply:
    """Run a router command on the shard that holds the database, or on any that has a primary.

    ``first`` is a shard to be preferred to that.
    """
    preference = context.sent.get("$readPreference")
    if isinstance(preference, Mapping):
        command = {**command, "$readPreference": preference}
    shards = context.services.shards
    database = await context.services.catalogue.database(context.db)
    candidates = [first] if first else []
    candidates += [database.primary] if database else []
    candidates += [shard for shard in shards.ids if shard not in candidates]
    if not candidates:
        raise CommandError(70, "the cluster has no shard yet: add one with addShard")
    able = (shard for shard in candidates if shards.set_of(shard).primary is not None)
    return await context.run(next(able, candidates[0]), command, repeatable=repeatable)


def _renamed(command: Mapping[str, Any], old: str, new: str) -> Document:
    return {new if key == old else key: value for key, value in command.items()}


async def count(context: Context) -> Document:
    """Count by aggregation; over everything, by each shard's own metadata, as mongos does."""
    command = await context.with_concern(write=False)
    query = command.get("query") or {}
    if not query and "limit" not in command and "skip" not in command and "hint" not in command:
        replies = await on_owners(context, command)
        return {"n": sum(reply.fields["n"] for reply in replies.values()), "ok": 1.0}
    pipeline: list[Document] = [{"$match": query}]
    if command.get("skip"):
        pipeline.append({"$skip": command["skip"]})
    if command.get("limit"):
        pipeline.append({"$limit": abs(command["limit"])})
    pipeline.append({"$count": "n"})
    kept = ("hint", "collation", "maxTimeMS", "readConcern", "comment")
    options = {key: command[key] for key in kept if key in command}
    cluster = {
        "clusterAggregate": context.collection,
        "pipeline": pipeline,
        "cursor": {},
        **options,
    }

    async def attempt() -> Reply:
        return await anywhere(context, cluster)

    reply = await context.until_fresh(attempt, context.namespace)
    result(reply)
    batch = reply.fields["cursor"]["firstBatch"]
    return {"n": batch[0]["n"] if batch else 0, "ok": 1.0}


async def distinct(context: Context) -> Document:
    command = await context.with_concern(write=False)
    replies = await on_owners(context, command)
    merged: dict[bytes, Any] = {}
    for reply in replies.values():
        for value in reply.fields["values"]:
            merged.setdefault(_identity(value), value)
    return {"values": list(merged.values()), "ok": 1.0}


def _identity(value: Any) -> bytes:
    """Equal for values that MongoDB holds equal (1 and 1.0 are)."""
    same = float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, int) and int(same) != value:
        same = value
    return bson.encode({"": same}, codec_options=wire.RAW)


async def on_owners(
    context: Context,
    command: Document,
    *,
    write: bool = False,
    wrap: Callable[[Document], Document] = lambda versioned: versioned,
) -> dict[str, Reply]:
    """Run a versioned command on every shard that owns a part of the collection.

    ``wrap`` puts the versioned command into another (explain).

    Raises:
        CommandError: the first failure.
    """

    async def attempt() -> Reply:
        source = await (source_of(context) if write else existing_source_of(context))
        shards = source.shards if source else context.services.shards.ids[:1]
        versions = [source.versions_on(shard) if source else {} for shard in shards]
        got = await asyncio.gather(
            *(context.run(s, wrap({**command, **v})) for s, v in zip(shards, versions, strict=True))
        )
        replies.clear()
        replies.update(zip(shards, got, strict=True))
        return next((reply for reply in got if not reply.ok), got[0])

    replies: dict[str, Reply] = {}
    result(await context.until_fresh(attempt, context.namespace))
    return replies

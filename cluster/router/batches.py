"""Handing cursors out to clients, continuing and closing them."""

from collections.abc import Mapping
from typing import Any

from bson.int64 import Int64

from cluster.router.context import Answer, Context, Document, result
from cluster.router.cursors import Cursor
from cluster.router.errors import NOT_PRIMARY, RETRYABLE, CommandError, HostError
from cluster.router.shards import Reply


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

"""Administration of the cluster: shards, sharded collections, chunks, zones, balancer, users.

Each is the command that mongos itself sends to the config servers or to a shard for it.
"""

from collections.abc import Mapping
from typing import Any

from cluster.router.admin import MAJORITY, on_database_primary
from cluster.router.catalogue import Chunk, Collection
from cluster.router.context import Answer, Context, Handler, namespace_of, result
from cluster.router.errors import CommandError
from cluster.router.reads import hand_out
from cluster.router.shards import CONFIG
from cluster.router.targeting import chunk_of_query
from cluster.router.wire import Document


def on_config_primary(internal: str = "", *, concern: bool = True) -> Handler:
    """A handler that sends the command (under its internal name) to the config primary."""

    async def handler(context: Context) -> Answer:
        rest = {key: value for key, value in context.command.items() if key != context.name}
        command = {internal or context.name: context.sent[context.name], **rest}
        if concern:
            command["writeConcern"] = MAJORITY
        return result(await context.run(CONFIG, command, repeatable=False))

    return handler


async def plain_on_config(context: Context) -> Answer:
    """Any data command on the databases ``config`` and ``admin``: the config servers hold them."""
    write = context.name in ("insert", "update", "delete", "findAndModify", "findandmodify")
    command = {**await context.with_concern(write=write), **context.session}
    if not write and context.name not in ("find", "aggregate", "count", "distinct"):
        command.pop("readConcern", None)
    repeatable = bool(context.session) or context.name in _READS
    return hand_out(context, await context.run(CONFIG, command, repeatable=repeatable), "getMore")


_READS = frozenset({"find", "count", "distinct", "listIndexes", "listCollections", "dbStats"})


async def add_shard(context: Context) -> Answer:
    command = {"_configsvrAddShard": context.sent["addShard"], "writeConcern": MAJORITY}
    if "name" in context.sent:
        command["name"] = context.sent["name"]
    answer = result(await context.run(CONFIG, command))
    await context.services.catalogue.load_shards()
    return answer


async def remove_shard(context: Context) -> Answer:
    """Start draining a shard, tell how far it is, or finish it: one call for each step."""
    command = {"_configsvrRemoveShard": context.sent["removeShard"], "writeConcern": MAJORITY}
    answer = result(await context.run(CONFIG, command))
    await context.services.catalogue.load_shards()
    return answer


async def list_shards(context: Context) -> Document:
    return {"shards": await context.services.catalogue.find("shards", {}), "ok": 1.0}


async def enable_sharding(context: Context) -> Answer:
    name = context.sent["enableSharding"]
    if not isinstance(name, str) or not name:
        raise CommandError(73, "enableSharding needs the name of a database")
    command: Document = {"_configsvrCreateDatabase": name, "writeConcern": MAJORITY}
    if "primaryShard" in context.sent:
        command["primaryShardId"] = context.sent["primaryShard"]
    try:
        return result(await context.run(CONFIG, command))
    finally:
        context.services.catalogue.forget(name)


async def shard_collection(context: Context) -> Answer:
    """Shard a collection; a hashed one that is empty starts with chunks on every shard."""
    db, name = namespace_of(context)
    if not isinstance(context.sent.get("key"), Mapping):
        raise CommandError(2, "shardCollection needs key: the shard key, as a document")
    renamed = {"key": "shardKey"}
    wanted = ("key", "unique", "numInitialChunks", "presplitHashedZones", "collation", "timeseries")
    options = {renamed.get(key, key): context.sent[key] for key in wanted if key in context.sent}
    command = {"_shardsvrCreateCollection": name, **options}
    await on_database_primary(context, db, command, create=True)
    return {"collectionsharded": f"{db}.{name}", "ok": 1.0}


async def refine(context: Context) -> Answer:
    """Lengthen a shard key by further fields."""
    db, name = namespace_of(context)
    command = {"_shardsvrRefineCollectionShardKey": name, "newShardKey": context.sent.get("key")}
    return await on_database_primary(context, db, command)


async def reshard(context: Context) -> Answer:
    """Shard a collection anew by another key; takes minutes (it waits for writers to catch up)."""
    db, name = namespace_of(context)
    rest = {key: value for key, value in context.command.items() if key != context.name}
    command = {"_shardsvrReshardCollection": f"{db}.{name}", **rest}
    return await on_database_primary(context, db, command, on="admin")


async def move_primary(context: Context) -> Answer:
    """Move a database's unsharded collections to another shard."""
    db, to = context.sent["movePrimary"], context.sent.get("to")
    if not isinstance(db, str) or not isinstance(to, str):
        raise CommandError(2, "movePrimary needs a database and to: a shard")
    return await on_database_primary(
        context, db, {"_shardsvrMovePrimary": db, "to": to}, on="admin"
    )


async def move_range(context: Context) -> Answer:
    """moveRange, and moveChunk, which names the same range by a document or by its bounds."""
    db, name = namespace_of(context)
    to = context.sent.get("toShard") or context.sent.get("to")
    if not isinstance(to, str):
        raise CommandError(2, f"{context.name} needs the shard to move to")
    command: Document = {"_configsvrMoveRange": f"{db}.{name}", "toShard": to}
    if context.name == "moveChunk":
        chunk = await _named_chunk(context, await _sharded(context))
        command.update(min=chunk.min, max=chunk.max)
    else:
        given: Document = {
            word: context.sent[word] for word in ("min", "max") if word in context.sent
        }
        collection = await _sharded(context)
        for word, key in given.items():
            _check_whole(collection, word, key)
        command.update(given)
    command.update(waitForDelete=bool(context.sent.get("_waitForDelete")), writeConcern=MAJORITY)
    try:
        return result(await context.run(CONFIG, command))
    finally:
        context.services.catalogue.forget(f"{db}.{name}")


async def split(context: Context) -> Answer:
    """Split a chunk at a given key, or in its middle."""
    collection = await _sharded(context)
    middle = context.sent.get("middle")
    if middle is not None:
        _check_whole(collection, "middle", middle)
    chunk = await _named_chunk(context, collection, middle)
    bounds = {"min": chunk.min, "max": chunk.max}
    if middle is None:
        vector = {"splitVector": collection.namespace, "keyPattern": collection.key, **bounds}
        reply = await context.run(chunk.shard, {**vector, "force": True}, db="admin")
        result(reply)
        points = reply.fields["splitKeys"]
        if not points:
            raise CommandError(2, "the chunk has no middle to split it at: give one with middle")
    else:
        points = [middle]
    command = {
        "splitChunk": collection.namespace,
        "from": chunk.shard,
        "keyPattern": collection.key,
        "epoch": collection.epoch,
        "timestamp": collection.timestamp,
        **bounds,
        "splitKeys": points,
    }
    try:
        return result(await context.run(chunk.shard, command, repeatable=False, db="admin"))
    finally:
        context.services.catalogue.forget(collection.namespace)


async def _sharded(context: Context) -> Collection:
    db, name = namespace_of(context)
    context.services.catalogue.forget(f"{db}.{name}")
    collection = await context.services.catalogue.collection(f"{db}.{name}")
    if collection is None:
        raise CommandError(118, f"{db}.{name} is not sharded")
    return collection


def _check_whole(collection: Collection, word: str, key: Any) -> None:
    """Raise CommandError unless it has the shard key's fields, no more and no less.

    Shards and config servers write down what a router hands on, and cannot read such bounds again:
    the collection could then not even be dropped.
    """
    if not isinstance(key, Mapping) or list(key) != list(collection.key):
        fields = ", ".join(collection.key)
        raise CommandError(2, f"{word} must have the fields of the shard key, in order: {fields}")


async def _named_chunk(context: Context, collection: Collection, key: Any = None) -> Chunk:
    bounds = context.sent.get("bounds")
    if key is not None:
        return collection.chunk_at([key.get(path) for path in collection.key], hashed_already=True)
    if isinstance(bounds, list) and len(bounds) == 2:
        for bound in bounds:
            _check_whole(collection, "bounds", bound)
        low = [bounds[0].get(path) for path in collection.key]
        return collection.chunk_at(low, hashed_already=True)
    chunk = await chunk_of_query(context, collection, context.sent.get("find"))
    if chunk is None:
        raise CommandError(2, f"{context.name} needs find (with the shard key), bounds or middle")
    return chunk


async def set_default_concern(context: Context) -> Answer:
    answer = await on_config_primary()(context)
    context.services.defaults.forget()
    return answer


async def flush_router_config(context: Context) -> Document:
    """Forget everything that is cached of databases, collections and chunks."""
    context.services.catalogue.forget_all()
    await context.services.catalogue.load_shards()
    return {"flushed": True, "ok": 1.0}


async def manage_users(context: Context) -> Answer:
    """Users and roles of the cluster are kept by the config servers."""
    try:
        return await on_config_primary()(context)
    finally:
        context.services.identities.forget()

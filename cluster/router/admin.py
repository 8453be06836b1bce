"""Collections, indexes and databases: what mongos hands to the shard that coordinates it."""

from collections.abc import Mapping
from typing import Any

from cluster.router.context import Answer, Context, namespace_of, result
from cluster.router.errors import CommandError
from cluster.router.reads import hand_out, on_owners
from cluster.router.shards import CONFIG, Reply
from cluster.router.targeting import existing_source_of
from cluster.router.wire import Document

MAJORITY = {"w": "majority"}
NAMESPACE_NOT_FOUND = 26


async def create(context: Context) -> Answer:
    """Create an unsharded collection or a view on the database's own shard."""
    command = await context.with_concern(write=True)
    await context.services.catalogue.ensure_database(context.db)

    async def attempt() -> Reply:
        database = await context.services.catalogue.ensure_database(context.db)
        versioned = {**command, **database.versions_on(database.primary)}
        return await context.run(database.primary, versioned, repeatable=False)

    return result(await context.until_fresh(attempt, context.namespace))


async def create_indexes(context: Context) -> Answer:
    """Build indexes on every shard that owns a part of the collection."""
    command = await context.with_concern(write=True)
    replies = await on_owners(context, command, write=True)
    raw = {shard: dict(reply.fields) for shard, reply in replies.items()}
    return {"raw": raw, "ok": 1.0}


async def list_indexes(context: Context) -> Answer:
    """List the indexes as any owner of the collection has them."""

    async def attempt() -> Reply:
        source = await existing_source_of(context)
        if source is None:
            raise CommandError(NAMESPACE_NOT_FOUND, f"ns does not exist: {context.namespace}")
        shard = source.shards[0]
        return await context.run(shard, {**context.command, **source.versions_on(shard)})

    return hand_out(context, await context.until_fresh(attempt, context.namespace), "getMore")


async def list_collections(context: Context) -> Answer:
    """List collections and views as the database's own shard knows them: it knows them all."""
    namespace = f"{context.db}.$cmd.listCollections"

    async def attempt() -> Reply:
        database = await context.services.catalogue.database(context.db)
        if database is None:
            raise CommandError(NAMESPACE_NOT_FOUND, f"database {context.db} does not exist")
        versions = {"databaseVersion": database.version}
        return await context.run(database.primary, {**context.command, **versions})

    try:
        reply = await context.until_fresh(attempt, context.db)
    except CommandError as error:
        if error.code != NAMESPACE_NOT_FOUND:
            raise
        nothing: list[Any] = []
        return {"cursor": {"id": 0, "ns": namespace, "firstBatch": nothing}, "ok": 1.0}
    return hand_out(context, reply, "getMore")


def coordinated(internal: str) -> Any:
    """A handler that runs ``internal`` on the database's primary shard, under its version."""

    async def handler(context: Context) -> Answer:
        value = context.sent[context.name]
        rest = {key: val for key, val in context.command.items() if key != context.name}
        return await on_database_primary(context, context.db, {internal: value, **rest})

    return handler


async def on_database_primary(
    context: Context, db: str, command: Document, *, on: str = "", create: bool = False
) -> Answer:
    """Run a coordinator's command on a database's primary shard, and forget what it changes.

    ``on`` is the database that the command itself is addressed to, if another than `db`;
    ``create`` makes the database if there is none (or no more: another router may have dropped it).
    """
    catalogue = context.services.catalogue

    async def attempt() -> Reply:
        database = await (catalogue.ensure_database(db) if create else catalogue.database(db))
        if database is None:
            raise CommandError(NAMESPACE_NOT_FOUND, f"ns not found: database {db} does not exist")
        versioned = {**command, "databaseVersion": database.version, "writeConcern": MAJORITY}
        return await context.run(database.primary, versioned, db=on or db)

    try:
        return result(await context.until_fresh(attempt, db))
    finally:
        catalogue.forget(db)


async def drop_database(context: Context) -> Answer:
    """Drop a database with all its collections, sharded or not; none there is no error."""
    catalogue = context.services.catalogue
    catalogue.forget(context.db)
    if await catalogue.database(context.db) is None:
        return {"ok": 1.0, "info": "database does not exist"}
    await on_database_primary(context, context.db, {"_shardsvrDropDatabase": 1})
    return {"dropped": context.db, "ok": 1.0}


async def rename_collection(context: Context) -> Answer:
    """Rename within or across databases (the command names both as ``db.collection``)."""
    db, collection = namespace_of(context)
    target = context.sent.get("to")
    if not isinstance(target, str) or "." not in target:
        raise CommandError(73, f"renameCollection needs to: db.collection, not {target!r}")
    options = {key: context.sent[key] for key in ("dropTarget",) if key in context.sent}
    command = {"_shardsvrRenameCollection": collection, "to": target, **options}
    try:
        return await on_database_primary(context, db, command)
    finally:
        context.services.catalogue.forget(target.partition(".")[0])


async def list_databases(context: Context) -> Document:
    """All databases of all shards, sizes added up; only those the user may see."""
    shards = context.services.shards
    await context.services.catalogue.load_shards()
    command: Document = {"listDatabases": 1, "$db": "admin"}
    command |= {key: context.sent[key] for key in ("filter", "nameOnly") if key in context.sent}
    replies = await shards.call_all([*shards.ids, CONFIG], command)
    merged: dict[str, Document] = {}
    for shard, reply in replies.items():
        for entry in reply.fields["databases"]:
            name = entry["name"]
            if name == "local" or (name in ("admin", "config")) != (shard == CONFIG):
                continue
            total = merged.setdefault(name, {"name": name})
            if "sizeOnDisk" in entry:
                total["sizeOnDisk"] = total.get("sizeOnDisk", 0) + entry["sizeOnDisk"]
                total["empty"] = total.get("empty", True) and entry["empty"]
                total.setdefault("shards", {})[shard] = entry["sizeOnDisk"]
    privileges = await context.privileges()
    listed = sorted(merged.values(), key=lambda entry: str(entry["name"]))
    if not privileges.allow((None, None, "listDatabases")) or context.sent.get(
        "authorizedDatabases"
    ):
        listed = [entry for entry in listed if privileges.reaches(entry["name"])]
    if context.sent.get("nameOnly"):
        return {"databases": listed, "ok": 1.0}
    size = sum(entry.get("sizeOnDisk", 0) for entry in listed)
    return {"databases": listed, "totalSize": size, "totalSizeMb": size >> 20, "ok": 1.0}


async def db_stats(context: Context) -> Document:
    """dbStats of every shard, and their sum."""
    shards = context.services.shards
    await context.services.catalogue.load_shards()
    replies = await shards.call_all(shards.ids, {**context.command, "$db": context.db})
    raw = {shard: dict(reply.fields) for shard, reply in replies.items()}
    answer: Document = {"raw": raw, "db": context.db}
    return {**answer, **_summed(replies, skip={"scaleFactor", "ok", "avgObjSize"}), "ok": 1.0}


async def coll_stats(context: Context) -> Document:
    """collStats of every owner, and their sum."""
    replies = await on_owners(context, context.command)
    sharded = await context.services.catalogue.collection(context.namespace) is not None
    detail = {shard: dict(reply.fields) for shard, reply in replies.items()}
    sums = _summed(replies, skip={"ok", "nindexes", "avgObjSize", "scaleFactor", "max", "maxSize"})
    answer = {"sharded": sharded, "ns": context.namespace, **sums, "shards": detail}
    if answer.get("count"):
        answer["avgObjSize"] = answer["size"] / answer["count"]
    answer["nindexes"] = next(iter(replies.values())).fields.get("nindexes", 0)
    return {**answer, "ok": 1.0}


def _summed(replies: Mapping[str, Reply], skip: set[str]) -> Document:
    totals: Document = {}
    for reply in replies.values():
        for name, value in reply.fields.items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name not in skip:
                totals[name] = totals.get(name, 0) + value
    return totals


async def validate(context: Context) -> Document:
    replies = await on_owners(context, context.command)
    raw = {shard: dict(reply.fields) for shard, reply in replies.items()}
    return {"valid": all(entry.get("valid") for entry in raw.values()), "raw": raw, "ok": 1.0}

"""Where a statement goes, and the version of the catalogue that it carries there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cluster.router.catalogue import ANY_VERSION, UNSHARDED, Collection
from cluster.router.context import Context, Document
from cluster.router.errors import CommandError
from cluster.router.targeting import chunk_of_document, chunk_of_query, is_exact


@dataclass(frozen=True)
class Route:
    """Where a statement goes.

    shards  the shards that may hold what it is about
    kind    the version it carries there: "exact", "any" or "unsharded"
    single  it may change one document only, so it ends at the first shard on which it found one
    """

    shards: tuple[str, ...]
    kind: str
    single: bool = False


async def route_of(context: Context, statement: Mapping[str, Any]) -> Route:
    """Where one statement of an insert, update or delete goes.

    Raises:
        CommandError: 61, it must name the shard key and does not.
    """
    collection = await context.services.catalogue.collection(context.namespace)
    if collection is None:
        database = await context.services.catalogue.ensure_database(context.db)
        return Route((database.primary,), "unsharded")
    if context.name == "insert":
        return Route(((await chunk_of_document(context, collection, statement)).shard,), "exact")
    query, collation = statement.get("q"), statement.get("collation")
    chunk = await chunk_of_query(context, collection, query, collation)
    if chunk is None and context.name == "update" and not statement.get("multi"):
        replacement = statement.get("u")
        if isinstance(replacement, Mapping) and not next(iter(replacement), "$").startswith("$"):
            values = {path: replacement.get(path) for path in collection.key if path in replacement}
            values = {**dict(query.items() if isinstance(query, Mapping) else ()), **values}
            chunk = await chunk_of_query(context, collection, values, collation)
    if chunk is not None:
        return Route((chunk.shard,), "exact")
    if _is_for_many(context, statement):
        return _everywhere(context, collection)
    if is_exact(collection, query, ["_id"], collation) and not statement.get("upsert"):
        return replace(_everywhere(context, collection), single=True)
    raise CommandError(
        61,
        f"A single {context.name} on sharded collection {context.namespace} must contain an exact "
        f"match on _id or the shard key {list(collection.key)} (an upsert: the shard key)",
    )


def _everywhere(context: Context, collection: Collection) -> Route:
    """Every shard that may hold a part of the collection.

    No shard refuses the version "any" as stale. So it goes to all shards of the cluster: the router
    may not have heard yet of a chunk that has moved to one of them.
    """
    owners = tuple(collection.shards)
    if len(owners) == 1:
        return Route(owners, "exact")
    return Route(tuple(context.services.shards.ids), "any")


def _is_for_many(context: Context, statement: Mapping[str, Any]) -> bool:
    if context.name == "delete":
        return statement.get("limit") == 0
    return bool(statement.get("multi")) and not statement.get("upsert")


async def version_fields(context: Context, shard: str, kind: str) -> Document:
    """The version fields of a command to a shard: "exact", "any" or "unsharded"."""
    if kind == "any":
        return {"shardVersion": ANY_VERSION}
    catalogue = context.services.catalogue
    collection = await catalogue.collection(context.namespace) if kind == "exact" else None
    if collection is not None:
        return {"shardVersion": collection.version_on(shard)}
    database = await catalogue.ensure_database(context.db)
    return {"shardVersion": UNSHARDED, "databaseVersion": database.version}

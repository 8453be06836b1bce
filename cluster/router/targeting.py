"""Which shards a statement concerns, and the version of the catalogue that it carries there."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bson

from cluster.router.catalogue import ANY_VERSION, Chunk, Collection, Database
from cluster.router.context import Context
from cluster.router.errors import CommandError
from cluster.router.keys import UnplaceableError
from cluster.router.wire import Document


def equalities(query: Any, paths: list[str]) -> dict[str, Any] | None:
    """Return the value that a query fixes each path to, or None if it leaves one open.

    Seen are ``{path: value}``, ``{path: {$eq: value}}`` and either inside ``$and``.
    """
    found: dict[str, Any] = {}
    _collect(query, paths, found)
    return found if len(found) == len(paths) else None


def _collect(query: Any, paths: list[str], found: dict[str, Any]) -> None:
    if not isinstance(query, Mapping):
        return
    for name, value in query.items():
        if name == "$and" and isinstance(value, list):
            for part in value:
                _collect(part, paths, found)
        elif name in paths:
            if isinstance(value, Mapping) and next(iter(value), "").startswith("$"):
                if "$eq" not in value:
                    continue
                value = value["$eq"]  # noqa: PLW2901 - the same value, unwrapped
            if not isinstance(value, list | bson.Regex):  # those match more than themselves
                found[name] = value


async def locate(context: Context, collection: Collection, values: list[Any]) -> Chunk:
    """Return the chunk of a shard key's values, asking a member to hash what the router cannot."""
    try:
        return collection.chunk_at(values)
    except UnplaceableError:
        hashed = [
            await _ask_hash(context, collection, value) if collection.is_hashed_at(i) else value
            for i, value in enumerate(values)
        ]
    try:
        return collection.chunk_at(hashed, hashed_already=True)
    except UnplaceableError as error:
        raise CommandError(2, f"the router cannot place a shard key with {error}") from None


async def _ask_hash(context: Context, collection: Collection, value: Any) -> Any:
    stage = {"$documents": [{"v": {"$literal": value}}]}
    command = {
        "aggregate": 1,
        "pipeline": [stage, {"$project": {"h": {"$toHashedIndexKey": "$v"}}}],
        "cursor": {},
    }
    reply = await context.run(collection.shards[0], command, db="admin")
    if not reply.ok:
        raise CommandError.of_reply(reply.fields)
    return reply.fields["cursor"]["firstBatch"][0]["h"]


async def chunk_of_query(
    context: Context, collection: Collection, query: Any, collation: Any = None
) -> Chunk | None:
    """Return the one chunk that can hold what a query finds, None if there may be several."""
    paths = list(collection.key)
    if not is_exact(collection, query, paths, collation):
        return None
    fixed = equalities(query, paths) or {}
    return await locate(context, collection, [fixed[path] for path in paths])


def shards_of_query(collection: Collection, query: Any, collation: Any = None) -> set[str]:
    """The shards that may hold what a query finds, by the first fields of the key that it fixes.

    Those of an ``$or`` are those of all its branches together.
    """
    paths = list(collection.key)
    for count in range(len(paths), 0, -1):
        if is_exact(collection, query, paths[:count], collation):
            fixed = equalities(query, paths[:count]) or {}
            with contextlib.suppress(UnplaceableError):
                return collection.shards_of([fixed[path] for path in paths[:count]])
    branches = query.get("$or") if isinstance(query, Mapping) else None
    if isinstance(branches, list) and branches:
        return {s for one in branches for s in shards_of_query(collection, one, collation)}
    return set(collection.shards)


def is_exact(collection: Collection, query: Any, paths: list[str], collation: Any = None) -> bool:
    """Whether a query fixes each of these paths to exactly one value.

    Under a collation that is not the simple one, a text also finds its neighbours: chunks, and what
    is unique, go by exact texts.
    """
    fixed = equalities(query, paths)
    if fixed is None:
        return False
    simple = collection.simple_collation if collation is None else _is_simple(collation)
    return simple or not any(isinstance(value, str | Mapping) for value in fixed.values())


def _is_simple(collation: Any) -> bool:
    return isinstance(collation, Mapping) and collation.get("locale") == "simple"


async def chunk_of_document(context: Context, collection: Collection, document: Any) -> Chunk:
    """Return the chunk that a new document belongs to.

    Raises:
        CommandError: 61, a key field is an array.
    """
    values = collection.key_of(document)
    for path, value in zip(collection.key, values, strict=True):
        if isinstance(value, list):
            raise CommandError(61, f"Shard key cannot contain array values: {path}")
    return await locate(context, collection, values)


@dataclass(frozen=True)
class Route:
    """Where a statement goes.

    shards  the shards that may hold what it is about
    source  what named them, whose version it carries there; None: all shards, under any version
    single  it may change one document only, so it ends at the first shard on which it found one
    """

    shards: tuple[str, ...]
    source: Collection | Database | None
    single: bool = False

    def versions_on(self, shard: str) -> Document:
        """The version fields that it carries to one of the shards."""
        return self.source.versions_on(shard) if self.source else {"shardVersion": ANY_VERSION}


async def source_of(context: Context) -> Collection | Database:
    """What says where the command's collection is: itself if it is sharded, else its database.

    The database is created when there is none.
    """
    catalogue = context.services.catalogue
    collection = await catalogue.collection(context.namespace)
    return await catalogue.ensure_database(context.db) if collection is None else collection


async def existing_source_of(context: Context) -> Collection | Database | None:
    """As `source_of`, but None when there is no database."""
    catalogue = context.services.catalogue
    collection = await catalogue.collection(context.namespace)
    return await catalogue.database(context.db) if collection is None else collection


async def route_of(context: Context, statement: Mapping[str, Any]) -> Route:
    """Where one statement of an insert, update or delete goes.

    Raises:
        CommandError: 61, it must name the shard key and does not.
    """
    collection = await source_of(context)
    if isinstance(collection, Database):
        return Route((collection.primary,), collection)
    if context.name == "insert":
        chunk = await chunk_of_document(context, collection, statement)
        return Route((chunk.shard,), collection)
    query, collation = statement.get("q"), statement.get("collation")
    target = await chunk_of_query(context, collection, query, collation)
    if target is None and context.name == "update" and not statement.get("multi"):
        replacement = statement.get("u")
        if isinstance(replacement, Mapping) and not next(iter(replacement), "$").startswith("$"):
            values = {path: replacement.get(path) for path in collection.key if path in replacement}
            values = {**dict(query.items() if isinstance(query, Mapping) else ()), **values}
            target = await chunk_of_query(context, collection, values, collation)
    if target is not None:
        return Route((target.shard,), collection)
    if _is_for_many(context, statement):
        return await _everywhere(context, collection)
    if is_exact(collection, query, ["_id"], collation) and not statement.get("upsert"):
        return Route(tuple(collection.shards), collection, single=True)
    raise CommandError(
        61,
        f"A single {context.name} on sharded collection {context.namespace} must contain an exact "
        f"match on _id or the shard key {list(collection.key)} (an upsert: the shard key)",
    )


async def _everywhere(context: Context, collection: Collection) -> Route:
    """Every shard that may hold a part of the collection.

    No shard refuses the version "any" as stale. So it goes to all shards that the cluster has at
    this moment: the router may not have heard yet of a chunk that has moved to one of them, nor of
    one that another router has added.
    """
    owners = tuple(collection.shards)
    if len(owners) == 1:
        return Route(owners, collection)
    await context.services.catalogue.renew_shards()
    return Route(tuple(context.services.shards.ids), None)


def _is_for_many(context: Context, statement: Mapping[str, Any]) -> bool:
    if context.name == "delete":
        return statement.get("limit") == 0
    return bool(statement.get("multi")) and not statement.get("upsert")

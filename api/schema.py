"""Applies the resources' declarations to the database: `python -m api schema`.

A resource whose file is removed leaves its collection behind, its claims and its files: these are
*orphaned*, and go only when somebody says so (`schema drop`).

Ordinary commands through a router, safe to repeat at any moment. Needs the rights of the
application's own user: readWrite, dbAdmin and enableSharding on its database.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, NamedTuple

from pymongo import UpdateOne
from pymongo.errors import OperationFailure

from api import resources
from api.crud.resource import Index
from api.crud.values import within
from api.errors import ApiError
from api.store import Store
from api.store.analytics import COLLECTION as ANALYTICS
from api.store.analytics import ENDS_AT
from api.store.claims import COLLECTION as CLAIMS
from api.store.deadline import attempt
from api.store.document import LIVE
from api.store.feed import COLLECTION as FEED
from api.store.feed import KEPT, WRITTEN
from api.store.files import CHUNK_KEY, CHUNKS, FILES, MARK, Files
from api.store.replay import COLLECTION as IDEMPOTENCY
from api.store.throttle import COLLECTION as THROTTLE
from api.store.throttle import ENDS
from api.web.text import search_key
from console.terminal import python

COMMAND_NOT_FOUND = 59
INVALID_OPTIONS = 72
FOLDED = 1000  # documents in one round trip
ALREADY_SHARDED = frozenset({20, 23})  # with another key; mongos answers ok to the same key
HASHED_ID: Mapping[str, str | int] = {"_id": "hashed"}

Ages = dict[tuple[tuple[str, int | str], ...], int | None]  # by an index's keys, its TTL


class SchemaError(ApiError):
    """The database cannot be brought to the declared shape. The message says what to do."""


class Collection(NamedTuple):
    """A collection as it should be.

    unique   no two documents share a shard key
    folded   by text field, where its search key is stored (Resource.folded)
    """

    name: str
    key: Mapping[str, str | int] = HASHED_ID
    indexes: tuple[Index, ...] = ()
    unique: bool = False
    folded: Mapping[str, str] = {}


def wanted() -> list[Collection]:
    """All collections of the API."""
    return [
        Collection(CLAIMS),
        Collection(IDEMPOTENCY, indexes=(Index((("expires", 1),), ttl=0),)),
        Collection(THROTTLE, indexes=(Index(((ENDS, 1),), ttl=0),)),
        Collection(FEED, indexes=(Index(((WRITTEN, 1),), ttl=KEPT),)),
        Collection(ANALYTICS, indexes=(Index(((ENDS_AT, 1),), ttl=0),)),
        Collection(FILES, indexes=(Index(((MARK, 1),), sparse=True),)),
        Collection(CHUNKS, CHUNK_KEY, unique=True),
        *(
            Collection(one.name, one.shard_key, one.all_indexes, folded=one.folded)
            for one in resources.ALL
        ),
    ]


class Orphan(NamedTuple):
    """A collection that nothing declares any more, and what belongs to it."""

    name: str
    documents: int
    claims: int
    files: int

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.documents} documents, {self.claims} claims on unique values, "
            f"{self.files} files"
        )


def orphan_names(store: Store) -> list[str]:
    """The collections that no resource of this code has, in order."""
    declared = {one.name for one in wanted()}
    names = attempt(store.database.list_collection_names, idempotent=True)
    return sorted(name for name in names if name not in declared and not name.startswith("system."))


def orphans(store: Store) -> list[Orphan]:
    """The collections that nothing declares any more, with what they hold. Counts it: that takes
    long where there is much.
    """
    return [
        Orphan(
            name,
            _count(store, name, {}),
            _count(store, CLAIMS, _claims_of(name)),
            _count(store, FILES, {"owner.collection": name}),
        )
        for name in orphan_names(store)
    ]


def drop(store: Store, name: str) -> None:
    """Remove an orphaned collection for good, and all that belongs to it. Safe to repeat.

    The collection goes last: as long as it is there, what an interruption left is listed.
    Raises SchemaError for any other one.
    """
    found = orphan_names(store)
    if name not in found:
        known = ", ".join(found) or "none"
        raise SchemaError(f"{name} is no orphaned collection. Orphaned are: {known}")
    files = store.collection(FILES)
    owned = {"owner.collection": name}
    for file in attempt(lambda: list(files.find(owned, {"_id": 1})), idempotent=True):
        Files(store).remove(file["_id"])
    claims = store.collection(CLAIMS)
    attempt(lambda: claims.delete_many(_claims_of(name)), idempotent=True)
    attempt(lambda: store.database.drop_collection(name), idempotent=True)


def _claims_of(name: str) -> dict[str, Any]:
    """The filter of the claims of a collection: they are named `<collection>.<field>:<value>`."""
    return {"_id": {"$gte": f"{name}.", "$lt": f"{name}/"}}


def _count(store: Store, name: str, where: dict[str, Any]) -> int:
    found = store.collection(name)
    return attempt(lambda: found.count_documents(where), idempotent=True)


def apply(store: Store) -> list[str]:
    """Make it so. Returns a line per collection that says what was changed."""
    # First the database, alone: of several that would make it by the way, one gets an error.
    _admin(store, {"enableSharding": store.database.name})
    with ThreadPoolExecutor() as pool:  # each waits for the config servers; let them wait together
        works = [(copy_context(), one) for one in wanted()]  # with the caller's deadline
        return list(pool.map(lambda work: work[0].run(_apply, store, work[1]), works))


def _apply(store: Store, one: Collection) -> str:
    before = _indexes(store, one.name)
    _shard(store, one)
    shown = ", ".join(f"{field}: {kind}" for field, kind in one.key.items())
    already = tuple(one.key.items()) in before
    done = [f"sharded by {{{shown}}} already" if already else f"now sharded by {{{shown}}}"]
    done += _index(store, one, before)
    given = sum(_fold(store, one, field) for field in one.folded)
    done += [f"search keys given to {given} texts"] if given else []
    return f"{store.database.name}.{one.name} is {'; '.join(done)}"


def _shard(store: Store, one: Collection) -> None:
    namespace = f"{store.database.name}.{one.name}"
    command = {"shardCollection": namespace, "key": dict(one.key), "unique": one.unique}
    try:
        _admin(store, command)
    except OperationFailure as error:
        if error.code == INVALID_OPTIONS:
            # Somebody wrote to the collection before it was sharded; then the index comes first.
            store.collection(one.name).create_index(list(one.key.items()), unique=one.unique)
            _admin(store, command)
            return
        if error.code in ALREADY_SHARDED:
            raise SchemaError(
                f"{namespace} has another shard key than {dict(one.key)}. "
                "Reshard it, or give the API another database"
            ) from None
        raise


def _index(store: Store, one: Collection, before: Ages) -> list[str]:
    """Make the indexes; also those a member lacks although another has them."""
    done = []
    for index in one.indexes:  # first, or the index would be refused as another one
        if index.ttl is not None and before.get(index.keys, index.ttl) != index.ttl:
            change = {"keyPattern": dict(index.keys), "expireAfterSeconds": index.ttl}
            _data(store, {"collMod": one.name, "index": change})
            done.append(f"documents now go {index.ttl} s after {_fields(index)}")
    if one.indexes:
        _data(store, {"createIndexes": one.name, "indexes": [_spec(i) for i in one.indexes]})
    new = [f"({_fields(index)})" for index in one.indexes if index.keys not in before]
    return [*done, f"new indexes: {', '.join(new)}"] if new else done


def _fold(store: Store, one: Collection, field: str) -> int:
    """Give documents the search key of a text that lists are sorted or searched by only now: they
    would be in none. Returns how many. The index on the key finds them.

    Who writes such a text meanwhile writes its key, too; only a release of the API that does not
    know of the key leaves what is found here the next time.
    """
    found, place, given = store.collection(one.name), one.folded[field], 0
    lacking = {place: {"$exists": False}, field: {"$type": "string"}, "version": LIVE}
    key = [name for name in one.key if name != "_id"]

    def read() -> list[dict[str, Any]]:
        return list(found.find(lacking, [field, *key]).limit(FOLDED).batch_size(FOLDED))

    while batch := attempt(read, idempotent=True):
        writes = []
        for document in batch:
            text = within(document, field)
            same = {"_id": document["_id"], **{name: document.get(name) for name in key}}
            update = {"$set": {place: search_key(text)}}
            writes.append(UpdateOne({**same, field: text, place: {"$exists": False}}, update))
        done = attempt(partial(found.bulk_write, writes, ordered=False), idempotent=True)
        given += done.modified_count
    return given


def _fields(index: Index) -> str:
    return ", ".join(field for field, _ in index.keys)


def _spec(index: Index) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "key": dict(index.keys),
        "name": "_".join(f"{field}_{kind}" for field, kind in index.keys),
    }
    if index.ttl is not None:
        spec["expireAfterSeconds"] = index.ttl
    if index.only is not None:
        spec["partialFilterExpression"] = dict(index.only)
    return {**spec, "sparse": True} if index.sparse else spec


def _indexes(store: Store, name: str) -> Ages:
    """A collection's indexes. One that was never sharded lacks its key's."""
    found = attempt(lambda: list(store.collection(name).list_indexes()), idempotent=True)
    return {tuple(one["key"].items()): one.get("expireAfterSeconds") for one in found}


def _admin(store: Store, command: dict[str, Any]) -> None:
    try:
        _send(lambda: store.database.client.admin.command(command))
    except OperationFailure as error:
        if error.code == COMMAND_NOT_FOUND:
            raise SchemaError(
                "the connection string leads to a mongod, not to a router. "
                f"Name the routers ({python()} -m cluster uri --user app)"
            ) from None
        raise


def _data(store: Store, command: dict[str, Any]) -> None:
    _send(lambda: store.database.command(command))


def _send(call: Callable[[], Any]) -> None:
    attempt(call, idempotent=True)

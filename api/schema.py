"""Applies the resources' declarations to the database: `python -m api schema`.

Ordinary commands through a router, safe to repeat at any moment. Needs the rights of the
application's own user: readWrite, dbAdmin and enableSharding on its database.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pymongo.errors import OperationFailure

from api import resources
from api.store import Store
from api.store.claims import COLLECTION as CLAIMS
from api.store.deadline import attempt
from api.store.files import CHUNK_KEY, CHUNKS, FILES, MARK
from api.store.throttle import COLLECTION as THROTTLE
from api.store.throttle import ENDS

COMMAND_NOT_FOUND = 59
INVALID_OPTIONS = 72
ALREADY_SHARDED = frozenset({20, 23})  # with another key; mongos answers ok to the same key
HASHED_ID: Mapping[str, str | int] = {"_id": "hashed"}


class SchemaError(Exception):
    """The database cannot be brought to the declared shape. The message says what to do."""


def wanted() -> dict[str, Mapping[str, str | int]]:
    """Collections and their shard keys."""
    files = {FILES: HASHED_ID, CHUNKS: CHUNK_KEY}
    return {
        CLAIMS: HASHED_ID,
        THROTTLE: HASHED_ID,
        **files,
        **{r.name: r.shard_key for r in resources.ALL},
    }


def apply(store: Store) -> list[str]:
    """Make it so. Returns a line per collection that says what was changed."""
    with ThreadPoolExecutor() as pool:  # each waits for the config servers; let them wait at once
        done = list(pool.map(lambda item: _shard(store, *item), wanted().items()))
    attempt(lambda: store.collection(FILES).create_index(MARK, sparse=True), idempotent=True)
    counters = store.collection(THROTTLE)
    attempt(lambda: counters.create_index(ENDS, expireAfterSeconds=0), idempotent=True)
    return done


def _shard(store: Store, name: str, key: Mapping[str, str | int]) -> str:
    namespace = f"{store.database.name}.{name}"
    shown = ", ".join(f"{field}: {kind}" for field, kind in key.items())
    if _has_index(store, name, key):
        done = f"{namespace} is sharded by {{{shown}}} already"
    else:
        done = f"{namespace} is now sharded by {{{shown}}}"
    command = {"shardCollection": namespace, "key": dict(key), "unique": name == CHUNKS}
    try:
        _send(store, command)
    except OperationFailure as error:
        if error.code == INVALID_OPTIONS:
            # Somebody wrote to the collection before it was sharded; then the index comes first.
            store.collection(name).create_index(list(key.items()), unique=name == CHUNKS)
            _send(store, command)
            return done
        if error.code == COMMAND_NOT_FOUND:
            raise SchemaError(
                "the connection string leads to a mongod, not to a router. "
                "Name the routers (python -m cluster uri --user app)"
            ) from None
        if error.code in ALREADY_SHARDED:
            raise SchemaError(
                f"{namespace} has another shard key than {{{shown}}}. "
                "Reshard it, or give the API another database"
            ) from None
        raise
    return done


def _send(store: Store, command: dict[str, Any]) -> None:
    attempt(lambda: store.database.client.admin.command(command), idempotent=True)


def _has_index(store: Store, name: str, key: Mapping[str, str | int]) -> bool:
    """Sharding makes the key's index; a collection that was never sharded has none."""
    indexes = attempt(lambda: list(store.collection(name).list_indexes()), idempotent=True)
    return any(dict(index["key"]) == dict(key) for index in indexes)

"""Whether the database can be used: a majority read on a shard, a write on all, who leads there."""

import secrets
from typing import Any

from bson import MaxKey

from api.store.claims import COLLECTION as CLAIMS
from api.store.client import Store
from api.store.deadline import attempt


def read(store: Store) -> None:
    """Read what a majority of some shard's members has. Raises UnavailableError.

    Of a made-up claim, so that each call asks a shard that chance chooses: one of them may be down.
    """
    name = f"probe:{secrets.token_hex(8)}"
    claims = store.collection(CLAIMS, "majority")
    attempt(lambda: claims.find_one({"_id": name}, {"_id": 1}), idempotent=True)


def write(store: Store) -> None:
    """A write that changes nothing, on every shard at once. Raises UnavailableError.

    It waits as others do: for a primary, for a lock that keeps it from taking writes (fsync), and
    for a majority. No `_id` is beyond MaxKey, and by an inequality no shard can be left out.
    """
    claims = store.collection(CLAIMS)
    nothing = {"_id": {"$gt": MaxKey()}}
    attempt(lambda: claims.update_many(nothing, {"$set": {"probed": True}}), idempotent=True)


def router(store: Store) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers of a router to buildInfo and hello. Raises UnavailableError."""
    client = store.database.client
    build = attempt(lambda: client.admin.command("buildInfo"), idempotent=True)
    return build, attempt(lambda: client.admin.command("hello"), idempotent=True)

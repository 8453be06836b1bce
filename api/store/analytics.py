"""What was asked of the API, by day: one document for each day, to which every worker adds.

    {_id: "2026-11-27", routes: {"users/list": {requests, client_errors, server_errors}, …},
     users: {"17": 3, …}, flushes: [<the last ids>], ends_at}

`users` are the registers of a sketch, of which each keeps its maximum. An addition is one update,
and counts once however often it is sent: it has an id, which the document keeps, and is made only
where that is not there. A day keeps the last KEPT ids; so only an addition that waits until so
many others have come in between could count twice.
"""

import secrets
from collections import Counter
from datetime import date, datetime
from typing import Any

import msgspec
from pymongo.errors import DuplicateKeyError

from api.store.client import Store
from api.store.deadline import attempt
from api.store.document import Document

COLLECTION = "analytics"
ENDS_AT = "ends_at"  # with a TTL index
KEPT = 256


class Addition(msgspec.Struct, kw_only=True):
    """What is to be added to a day.

    counts     by dotted name: `users/list.requests`
    registers  of the sketch, by number
    """

    day: date
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    registers: dict[int, int] = msgspec.field(default_factory=dict)
    id: int = msgspec.field(default_factory=lambda: secrets.randbits(62))


def add(store: Store, one: Addition, ends_at: datetime) -> None:
    """Add to a day, once. Raises UnavailableError: then it may be added, and may be sent again."""
    days = store.collection(COLLECTION)
    condition = {"_id": one.day.isoformat(), "flushes": {"$ne": one.id}}
    update: dict[str, Any] = {
        "$push": {"flushes": {"$each": [one.id], "$slice": -KEPT}},
        "$setOnInsert": {ENDS_AT: ends_at},
    }
    if one.counts:
        update["$inc"] = {f"routes.{name}": count for name, count in one.counts.items()}
    if one.registers:
        update["$max"] = {f"users.{number}": rank for number, rank in one.registers.items()}
    try:
        attempt(lambda: days.update_one(condition, update, upsert=True), idempotent=True)
    except DuplicateKeyError:
        # The day is there: it has this addition, or another worker has begun it just now.
        attempt(lambda: days.update_one(condition, update), idempotent=True)


def read(store: Store, first: date, last: date) -> list[Document]:
    """The days from first to last on which anything was counted, in order."""
    days = store.collection(COLLECTION)
    condition = {"_id": {"$gte": first.isoformat(), "$lte": last.isoformat()}}
    return attempt(
        lambda: list(days.find(condition, {"routes": 1, "users": 1}).sort("_id", 1)),
        idempotent=True,
    )

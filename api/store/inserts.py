"""Many documents in one command, and which of them were there already."""

from collections.abc import Iterable

from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from api.store.deadline import attempt
from api.store.errors import UnavailableError
from api.store.shape import Document

DUPLICATE_KEY = 11000


def insert_all(into: Collection[Document], documents: Iterable[Document]) -> list[int]:
    """Insert unordered; return the positions whose `_id` existed already."""
    batch = list(documents)
    if not batch:
        return []
    try:
        attempt(lambda: into.insert_many(batch, ordered=False), idempotent=True)
    except BulkWriteError as error:
        errors = error.details["writeErrors"]
        if any(e["code"] != DUPLICATE_KEY for e in errors):
            raise
        if error.details.get("writeConcernErrors"):
            raise UnavailableError("no majority acknowledged the bulk insert") from error
        return [e["index"] for e in errors]
    return []

"""Marks: what a write leaves behind so that its repetition finds it. Why: crud/repetition.py.

They are part of the write itself, and so there if and only if it took effect.
"""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from api.store.claims import MAJORITY
from api.store.deadline import attempt, pause
from api.store.errors import UnavailableError
from api.store.shape import ANY, Document

MARKS, DELETED = "marks", "deleted"
KEPT = 64  # of a document, 12 bytes each: others may change it five times a second, while a proxy
# takes twelve seconds to notice that a silent replica is gone
DELETED_KEPT = 3600  # seconds that the tombstone of a deletion stays


def push(mark: int | None) -> Document:
    """What an update does besides."""
    return {} if mark is None else {"$push": {MARKS: {"$each": [mark], "$slice": -KEPT}}}


def take_away(
    collection: Collection[Document], condition: Document, mark: int | None
) -> Document | None:
    """Delete the document of this condition, and return it. With a mark, a tombstone stays."""
    if mark is None:
        return collection.find_one_and_delete(condition)
    kept = [name for name in condition if name[0] != "$" and name != "version"]  # the shard key
    stone: Document = {name: f"${name}" for name in kept}
    stone |= {DELETED: "$$NOW", MARKS: {"$literal": [mark]}}
    return collection.find_one_and_update(condition, [{"$replaceWith": stone}])


def find(
    collection: Collection[Document],
    document_id: ObjectId,
    mark: int,
    where: Mapping[str, Any] = ANY,
) -> Document | None:
    """The document, or the tombstone in its place, that a write with this mark has left.

    It counts once a majority has it: it may be another worker's write, and that worker dead.
    """
    # Of the conditions only the shard key: the write itself may have ended the others.
    key = {name: value for name, value in where.items() if isinstance(value, ObjectId)}
    query = {**key, "_id": document_id, MARKS: mark}
    majority = collection.with_options(read_concern=MAJORITY)
    turn = 0
    while attempt(lambda: collection.find_one(query), idempotent=True) is not None:
        found = attempt(lambda: majority.find_one(query), idempotent=True)
        if found is not None:
            return found
        if not pause(turn):
            raise UnavailableError("no majority for a write in time")
        turn += 1
    return None

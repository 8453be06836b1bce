"""Marks: what a write leaves behind so that its repetition finds it.

They are part of the write itself, and so there if and only if it took effect. There are two kinds:

* of a request that a trusted proxy has named (crud/repetition.py): an integer in `marks`, of which
  the last ones stay. It only has to last for as long as a proxy tries.
* of a request with an Idempotency-Key (idempotency.py): `{key, effect}` in `keyed`, the `_id` of
  the key's record and the one try that the record names. It lasts until the record is "done":
  whoever finds many of them in a document finishes their records, and removes them after that.

A *void* mark, `{key, effect, void: true}`, is the fence of such a try: a write with this effect can
never be made. It goes when the key itself has gone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo.collection import Collection

from api.store.claims import MAJORITY
from api.store.deadline import attempt, pause
from api.store.errors import UnavailableError
from api.store.shape import ANY, LIVE, Document

MARKS, KEYED, VOID, DELETED = "marks", "keyed", "void", "deleted"
KEPT = 64  # of a document, 12 bytes each: others may change it five times a second, while a proxy
# takes twelve seconds to notice that a silent replica is gone
MOST_KEYED = 16  # that a document holds, some 100 bytes each, until they are settled
DELETED_KEPT = 3600  # seconds that the tombstone of a deletion stays


class Keyed(NamedTuple):
    """The mark of a request with an Idempotency-Key: its record's `_id`, and this try at it."""

    key: str
    effect: ObjectId


Mark = int | Keyed | None


def push(mark: Mark) -> Document:
    """What an update does besides."""
    if mark is None:
        return {}
    if isinstance(mark, Keyed):
        return {"$push": {KEYED: mark._asdict()}}
    return {"$push": {MARKS: {"$each": [mark], "$slice": -KEPT}}}


def unmarked(mark: Mark) -> Document:
    """The condition of a write with this mark: it was not made, and nobody has fenced it."""
    return {f"{KEYED}.effect": {"$ne": mark.effect}} if isinstance(mark, Keyed) else {}


def take_away(collection: Collection[Document], condition: Document, mark: Mark) -> Document | None:
    """Delete the document of this condition, and return it. With a mark, a tombstone stays."""
    if mark is None:
        return collection.find_one_and_delete(condition)
    kept = [name for name in condition if name[0] != "$" and name != "version"]  # the shard key
    stone: Document = {name: f"${name}" for name in kept}
    left = {KEYED: [mark._asdict()]} if isinstance(mark, Keyed) else {MARKS: [mark]}
    stone |= {DELETED: "$$NOW", **{name: {"$literal": marks} for name, marks in left.items()}}
    return collection.find_one_and_update(
        {**condition, **unmarked(mark)}, [{"$replaceWith": stone}]
    )


def find(
    collection: Collection[Document],
    document_id: ObjectId,
    mark: int | Keyed,
    where: Mapping[str, Any] = ANY,
) -> Document | None:
    """The document, or the tombstone in its place, that a write with this mark has left.

    It counts once a majority has it: it may be another worker's write, and that worker dead.
    """
    query = {**_shard_key(where), "_id": document_id, **_with(mark)}
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


def fence(
    collection: Collection[Document],
    document_id: ObjectId,
    mark: Keyed,
    where: Mapping[str, Any] = ANY,
) -> bool:
    """Make it impossible to write with this mark. False: the write was made."""
    condition = {**_shard_key(where), "_id": document_id, "version": LIVE, **unmarked(mark)}
    void = {"$push": {KEYED: {**mark._asdict(), VOID: True}}}
    attempt(lambda: collection.update_one(condition, void), idempotent=True)
    return find(collection, document_id, mark, where) is None


def is_void(document: Mapping[str, Any], mark: Mark) -> bool:
    """Whether somebody has fenced the write with this mark."""
    if not isinstance(mark, Keyed):
        return False
    return {**mark._asdict(), VOID: True} in document.get(KEYED, ())


def _with(mark: int | Keyed) -> Document:
    if isinstance(mark, Keyed):
        return {KEYED: {"$elemMatch": {"effect": mark.effect, VOID: {"$exists": False}}}}
    return {MARKS: mark}


def _shard_key(where: Mapping[str, Any]) -> Document:
    """Of conditions only the shard key: the write itself may have ended the others."""
    return {name: value for name, value in where.items() if isinstance(value, ObjectId)}

"""The feed: which documents have changed lately. It tells clients when to read them again.

Whoever writes a document puts a note into `Store.notes`, which costs a request nothing. Twice a
second `Feed.publish` writes down what came together, one entry for all, and each process reads the
entries of all of them. An entry goes after a while (TTL).

So the feed tells of a change soon, of some twice, and of one not at all where a process is killed
in the half second before it is published, or where nobody knows whether a write took effect. Who
watches reads the documents anew now and then besides.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from api.store.client import Note, Store
from api.store.deadline import attempt
from api.store.document import Document, now

COLLECTION = "feed"
WRITTEN = "at"  # of an entry: its time, by the clock of who wrote it; with a TTL index
KEPT = 900  # seconds
MOST_READ = 5000  # entries in one answer


class Readers(NamedTuple):
    """Who may see a collection's documents: the users whose ids are in these fields, or all."""

    fields: tuple[str, ...] = ()
    everybody: bool = False


class Change(NamedTuple):
    """One change. No `id`: of many documents together. `readers`: None is everybody; what
    administrators see is not said."""

    resource: str
    id: ObjectId | None
    verb: str
    readers: Sequence[ObjectId] | None


class Entry(NamedTuple):
    """Changes that were published together."""

    id: ObjectId
    changes: Sequence[Change]


class Feed:
    """What changes in these collections, by name."""

    def __init__(self, store: Store, collections: Mapping[str, Readers]) -> None:
        self._store = store
        self._collections = collections
        self._pending: Document | None = None

    def publish(self) -> None:
        """Write down what changed since the last call.

        Raises UnavailableError; then the next call writes it.
        """
        entries = self._store.collection(COLLECTION)
        while (entry := self._pending or self._next()) is not None:
            self._pending = entry
            with suppress(DuplicateKeyError):  # our own, sent again after its answer was lost
                attempt(partial(entries.insert_one, entry), idempotent=True)
            self._pending = None

    def _next(self) -> Document | None:
        notes, changes = self._store.notes, []
        while notes:
            note = notes.popleft()
            if note.collection in self._collections:
                changes.append(self._change(note)._asdict())
        if not changes:
            return None
        return {"_id": ObjectId(), WRITTEN: now(), "changes": changes}

    def _change(self, note: Note) -> Change:
        known, document = self._collections[note.collection], note.document
        if document is None:
            return Change(note.collection, None, note.verb, () if not known.everybody else None)
        readers = None if known.everybody else [*_ids(document, known.fields)]
        return Change(note.collection, document["_id"], note.verb, readers)

    def since(self, moment: datetime) -> list[Entry] | None:
        """The entries from this moment on, the oldest first; None: there are too many to tell.
        Raises UnavailableError.

        Clocks of processes differ, and writes take their time: an entry may come to be before one
        that was read. So ask from some seconds before the last one.
        """
        entries = self._store.collection(COLLECTION)
        where, order = {WRITTEN: {"$gte": moment}}, [(WRITTEN, 1), ("_id", 1)]
        found = attempt(
            lambda: list(entries.find(where).sort(order).limit(MOST_READ)), idempotent=True
        )
        if len(found) == MOST_READ:
            return None
        return [Entry(one["_id"], [Change(**change) for change in one["changes"]]) for one in found]


def is_kept(moment: datetime) -> bool:
    """Whether all entries from this moment on are surely there. Of one to come nobody knows."""
    return abs(now() - moment) < timedelta(seconds=KEPT / 2)


def _ids(document: Mapping[str, Any], fields: Sequence[str]) -> Sequence[ObjectId]:
    found: list[ObjectId] = []
    for value in map(document.get, fields):
        found += value if isinstance(value, list) else () if value is None else (value,)
    return found

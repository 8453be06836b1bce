"""Generic documents: by id, by unique value, by page; create, change, delete."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from api.store.bulk import BulkReport, create_many
from api.store.changes import change_unique
from api.store.claims import COLLECTION, MAJORITY, Claim, Claims, Unique
from api.store.client import Store
from api.store.deadline import attempt, pause
from api.store.errors import DuplicateError, UnavailableError, VersionMovedError
from api.store.shape import LIVE, Document, fresh, now


class Documents:
    """The documents of one collection, with its unique fields."""

    def __init__(self, store: Store, name: str, uniques: tuple[Unique, ...] = ()) -> None:
        self.name = name
        self._store = store
        self._uniques = uniques

    @property
    def collection(self) -> Collection[Document]:
        """The collection itself; this process's connection to it."""
        return self._store.collection(self.name)

    @property
    def claims(self) -> Claims:
        """The claims on this collection's unique values."""
        grace = self._store.options.claim_grace
        claims = self._store.collection(COLLECTION)
        return Claims(claims, self.collection, self._uniques, grace)

    def get(self, document_id: ObjectId, fields: Sequence[str] | None = None) -> Document | None:
        """One document, or None. `fields` limits what is read (`version` comes always).

        Read from the primary with read concern local: it sees every acknowledged write, also just
        after a failover, when the majority snapshot of a new primary may still be behind.
        """
        shown = None if fields is None else (*fields, "version")
        found = attempt(
            lambda: self.collection.find_one({"_id": document_id}, shown), idempotent=True
        )
        return found if found is not None and "version" in found else None

    def get_committed(self, document_id: ObjectId) -> Document | None:
        """One document as a majority has it, a tombstone too: to base a conditional write on.

        A version read with read concern local may be rolled back and then given a second time.
        """
        majority = self.collection.with_options(read_concern=MAJORITY)
        return attempt(lambda: majority.find_one({"_id": document_id}), idempotent=True)

    def find_unique(self, field: str, value: str) -> Document | None:
        """The document that holds `value` in a unique field: two targeted reads."""
        claims = self.claims
        owner = claims.owner_of(field, value)
        found = None if owner is None else self.get(owner)
        return found if found is not None and claims.holds(found, field, value) else None

    def page(
        self, fields: Sequence[str], limit: int, after: ObjectId | None = None
    ) -> list[Document]:
        """Up to `limit` documents in the order of `_id`, those after `after`."""
        query: Document = {"version": LIVE}
        if after is not None:
            query["_id"] = {"$gt": after}

        # All in the first batch: above 101 documents a page otherwise costs a second round trip.
        def read() -> list[Document]:
            found = self.collection.find(query, fields, sort=[("_id", 1)], limit=limit)
            return list(found.batch_size(limit + 1))

        return attempt(read, idempotent=True)

    def create(self, fields: Mapping[str, Any]) -> Document:
        """A new document. Raises `DuplicateError`."""
        claims = self.claims
        turn = 0
        while True:
            document = fresh(fields, ObjectId())
            taken: list[Claim] = []
            try:
                for claim in claims.of(document, document["_id"], 1):
                    claims.take(claim)
                    taken.append(claim)
            except DuplicateError:
                # Nobody else knows this _id and no insert of it was sent: the claims are ours.
                claims.tidy(taken)
                raise
            if self._commit(document):
                return document
            # We were so slow that a claim was taken over and our _id fenced. Begin anew.
            claims.tidy(taken)
            if not pause(turn):
                raise UnavailableError("overtaken while creating, and out of time")
            turn += 1

    def create_many(
        self,
        items: Sequence[Mapping[str, Any]],
        ids: Sequence[ObjectId] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> BulkReport:
        """Many new documents at once; see `bulk.create_many`."""
        return create_many(self.collection, self.claims, items, ids, progress)

    def change(
        self, document_id: ObjectId, changes: Mapping[str, Any], version: int | None = None
    ) -> Document | None:
        """Set fields (None removes one), raise the version, return the new document.

        None when there is no such document. With `version`, raises `VersionMovedError` unless the
        document is at it. Raises `DuplicateError`.
        """
        unique = [u.field for u in self._uniques if u.field in changes]
        if unique:
            return change_unique(self, document_id, changes, unique, version)
        changed = self.apply(document_id, version, changes)
        self._explain_miss(changed is not None, document_id, version)
        return changed

    def delete(self, document_id: ObjectId, version: int | None = None) -> bool:
        """Delete the document, then its claims. False when there was none."""
        condition = {"_id": document_id, "version": LIVE if version is None else version}
        gone = attempt(lambda: self.collection.find_one_and_delete(condition), idempotent=False)
        self._explain_miss(gone is not None, document_id, version)
        if gone is None:
            return False
        claims = self.claims
        claims.tidy(claims.of(gone, document_id, gone["version"]))
        return True

    def apply(
        self, document_id: ObjectId, version: int | None, changes: Mapping[str, Any]
    ) -> Document | None:
        """The commit of a change: one conditional write on one shard. None: no match."""
        setting = {field: value for field, value in changes.items() if value is not None}
        removing = {field: "" for field, value in changes.items() if value is None}
        update: Document = {"$set": {**setting, "updated_at": now()}, "$inc": {"version": 1}}
        if removing:
            update["$unset"] = removing
        return attempt(
            lambda: self.collection.find_one_and_update(
                {"_id": document_id, "version": LIVE if version is None else version},
                update,
                return_document=ReturnDocument.AFTER,
            ),
            idempotent=False,
        )

    def _explain_miss(self, hit: bool, document_id: ObjectId, version: int | None) -> None:
        """Raise `VersionMovedError` if a conditional write missed a document that is there."""
        if not hit and version is not None and self.get(document_id, ()) is not None:
            raise VersionMovedError

    def _commit(self, document: Document) -> bool:
        """Insert the document. False: a tombstone has its place.

        A duplicate key may also be our own insert, applied although its answer was lost: the
        `_id` was made for this one call. It counts once a majority has it.
        """
        # Not repeated by us once it may have been applied: by then somebody may have deleted the
        # document and freed its values. PyMongo's repetition has the same transaction number.
        try:
            attempt(lambda: self.collection.insert_one(document), idempotent=False)
        except DuplicateKeyError:
            turn = 0
            while (found := self.get_committed(document["_id"])) is None:
                if not pause(turn):
                    raise UnavailableError("no majority for the new document in time") from None
                turn += 1
            return "version" in found
        return True

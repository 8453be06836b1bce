"""Generic documents: by id, by unique value, by page; create, change, delete."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from api.store import replay
from api.store.bulk import BulkReport, create_many
from api.store.claims import COLLECTION, MAJORITY, Claim, Claims, Unique, Watch
from api.store.client import Note, Store
from api.store.deadline import Turns, attempt, pause
from api.store.document import ANY, Document, Versions, fresh, now, versions
from api.store.errors import (
    OvertakenError,
    UnavailableError,
    VersionMovedError,
)
from api.store.pages import BY_ID, After, Sort, page_query, read_page
from api.store.replay import Keyed, Receipt

Check = Callable[[Document], None]
"""Gets the document as it would be stored; raises to prevent the change."""
Changes = Mapping[str, Any] | Callable[[Document], Mapping[str, Any]]
"""New values by field, or a function that makes them of the present document."""


class Documents:
    """The documents of one collection, with its unique fields.

    Where a method takes `where`, the document must meet this condition, too, or counts as missing.
    In a collection whose shard key is not `_id` it holds the other fields of the key: every write
    needs them, and a read without them asks every shard.
    """

    def __init__(self, store: Store, name: str, uniques: tuple[Unique, ...] = ()) -> None:
        self.name = name
        self._store = store
        self._uniques = uniques
        self._claims: tuple[Collection[Document], Claims] | None = None

    @property
    def collection(self) -> Collection[Document]:
        """The collection itself; this process's connection to it."""
        return self._store.collection(self.name)

    @property
    def watch(self) -> Watch:
        """Who is told of tries to take unique values."""
        return self._store.watch

    @property
    def claims(self) -> Claims:
        """The claims on this collection's unique values."""
        own = self.collection
        if self._claims is None or self._claims[0] is not own:  # of another process, or client
            grace = self._store.options.claim_grace
            made = Claims(self._store.collection(COLLECTION), own, self._uniques, grace)
            self._claims = own, made
        return self._claims[1]

    def get(
        self,
        document_id: ObjectId,
        fields: Sequence[str] | None = None,
        where: Mapping[str, Any] = ANY,
    ) -> Document | None:
        """One document, or None. `fields` limits what is read (`version` comes always).

        Read from the primary with read concern local: it sees every acknowledged write, also just
        after a failover, when the majority snapshot of a new primary may still be behind.
        """
        shown = None if fields is None else (*fields, "version")
        query = {**where, "_id": document_id}
        found = attempt(lambda: self.collection.find_one(query, shown), idempotent=True)
        return found if found is not None and "version" in found else None

    def get_committed(
        self, document_id: ObjectId, where: Mapping[str, Any] = ANY
    ) -> Document | None:
        """One document as a majority has it, a tombstone too: to base a conditional write on.

        A version read with read concern local may be rolled back and then given a second time.
        """
        majority = self.collection.with_options(read_concern=MAJORITY)
        query = {**where, "_id": document_id}
        return attempt(lambda: majority.find_one(query), idempotent=True)

    def find_unique(self, field: str, value: str) -> Document | None:
        """The document that holds `value` in a unique field: two targeted reads."""
        claims = self.claims
        owner = claims.owner_of(field, value)
        found = None if owner is None else self.get(owner)
        return found if found is not None and claims.holds(found, field, value) else None

    def page(
        self,
        fields: Sequence[str],
        limit: int,
        *,
        where: Mapping[str, Any] = ANY,
        sort: Sort = BY_ID,
        after: After | None = None,
    ) -> list[Document]:
        """Up to `limit` documents in this order, those that follow `after`; see pages.py."""
        return read_page(self.collection, fields, limit, page_query(where, sort, after), sort)

    def create(self, fields: Mapping[str, Any], document_id: ObjectId | None = None) -> Document:
        """A new document. Raises `DuplicateError`.

        With `document_id`, which must have been made for this one call, under this `_id` and no
        other; raises `OvertakenError` where a tombstone has its place.
        """
        if not any(fields.get(unique.field) is not None for unique in self._uniques):
            return self._create(fields, document_id)
        with self.watch.creating():
            return self._create(fields, document_id)

    def _create(self, fields: Mapping[str, Any], document_id: ObjectId | None) -> Document:
        claims = self.claims
        turn = 0
        while True:
            document = fresh(fields, document_id or ObjectId())
            wanted = claims.of(document, document["_id"], 1)
            # Nobody else leans on claims under this _id, and no insert of it was sent: a refusal
            # frees them.
            claims.take_all(wanted)
            try:
                if self._commit(document):
                    self._store.notes.append(Note(self.name, "create", document))
                    return document
            except UnavailableError:  # it may be there, or come to be
                raise
            except Exception:  # it cannot be written
                if self.get(document["_id"]) is None:
                    claims.tidy(wanted)
                raise
            # We were so slow that a claim was taken over and our _id fenced. Begin anew.
            claims.tidy(wanted)
            if document_id is not None or not pause(turn):
                raise OvertakenError("overtaken while creating")
            turn += 1

    def fence(self, document_id: ObjectId, key: Mapping[str, Any] = ANY) -> Document | None:
        """Make it impossible to create a document under this `_id`; or the document that is there.

        `key` holds the other fields of the shard key. What this leaves is a tombstone (claims.py).
        """
        stone = {**key, "_id": document_id, "tombstone": now()}
        turns = Turns("no majority for a document in time")
        while True:
            try:
                attempt(lambda: self.collection.insert_one(stone), idempotent=True)
            except DuplicateKeyError:
                found = self.get_committed(document_id, key)
                if found is not None:
                    return found if "version" in found else None
            else:
                return None
            turns.next()

    def create_many(
        self,
        items: Sequence[Mapping[str, Any]],
        ids: Sequence[ObjectId] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> BulkReport:
        """Many new documents together; see `bulk.create_many`."""
        report = create_many(self.collection, self.claims, items, ids, progress)
        if report.created:
            self._store.notes.append(Note(self.name, "import", None))
        return report

    def change(  # noqa: PLR0913 - each argument is a part of the change
        self,
        document_id: ObjectId,
        changes: Changes,
        version: int | Versions | None = None,
        *,
        where: Mapping[str, Any] = ANY,
        check: Check | None = None,
        receipt: Receipt = None,
    ) -> Document | None:
        """Set fields (None removes one), raise the version, return the new document.

        None when there is no such document. With `version`, raises `VersionMovedError` unless the
        document is at (one of) it. `check` gets the document as it would be, and raises what it
        likes; it is the document that is written, whatever else happens meanwhile. So it is where
        `changes` are a function, which gets the document as it is, and may raise as well. `receipt`
        stays in the document; see replay.py. Raises `OvertakenError` when another try at the
        request has fenced it, and `DuplicateError`.
        """
        expected = versions(version)
        unique = [u.field for u in self._uniques if callable(changes) or u.field in changes]
        if callable(changes) or unique or check is not None:
            return _change_from_read(
                self,
                document_id,
                changes,
                unique=unique,
                expected=expected,
                where=where,
                check=check,
                receipt=receipt,
            )
        changed = self.apply(document_id, expected, changes, where, receipt)
        if changed is None:
            self._explain_miss(document_id, expected, where, receipt)
        return changed

    def delete(
        self,
        document_id: ObjectId,
        version: int | Versions | None = None,
        *,
        where: Mapping[str, Any] = ANY,
        receipt: Receipt = None,
    ) -> bool:
        """Delete the document, then its claims. False when there was none.

        With `receipt` a tombstone stays in its place for a while; see replay.py.
        """
        expected = versions(version)
        condition = {**where, "_id": document_id, "version": expected.condition()}
        gone = attempt(lambda: replay.delete(self.collection, condition, receipt), idempotent=False)
        if gone is None:
            self._explain_miss(document_id, expected, where, receipt)
            return False
        self._store.notes.append(Note(self.name, "delete", gone))
        claims = self.claims
        claims.tidy(claims.of(gone, document_id, gone["version"]))
        return True

    def apply(
        self,
        document_id: ObjectId,
        expected: Versions,
        changes: Mapping[str, Any],
        where: Mapping[str, Any] = ANY,
        receipt: Receipt = None,
    ) -> Document | None:
        """The commit of a change: one conditional write on one shard. None: no match."""
        setting = {field: value for field, value in changes.items() if value is not None}
        removing = {field: "" for field, value in changes.items() if value is None}
        update: Document = {"$set": {**setting, "updated_at": now()}, "$inc": {"version": 1}}
        update |= replay.push(receipt)
        if removing:
            update["$unset"] = removing
        changed = attempt(
            lambda: self.collection.find_one_and_update(
                {
                    **where,
                    "_id": document_id,
                    "version": expected.condition(),
                    **replay.unwritten(receipt),
                },
                update,
                return_document=ReturnDocument.AFTER,
            ),
            idempotent=False,
        )
        if changed is not None:
            self._store.notes.append(Note(self.name, "change", changed))
        return changed

    def _explain_miss(
        self, document_id: ObjectId, expected: Versions, where: Mapping[str, Any], receipt: Receipt
    ) -> None:
        """Raise what a write has missed of a document that is there: a version, or its turn."""
        if expected == Versions() and not isinstance(receipt, Keyed):
            return
        found = self.get(document_id, (replay.KEYED,), where)
        if found is None:
            return
        if replay.is_fenced(found, receipt):
            raise OvertakenError("overtaken while changing")
        if not expected.admit(found["version"]):
            raise VersionMovedError

    def _commit(self, document: Document) -> bool:
        """Insert the document. False: a tombstone has its place.

        A duplicate key may also be our own insert, applied although its answer was lost: the
        `_id` was made for this one call. It counts once a majority has it.
        """
        # Not repeated by us once it may have been applied: by then somebody may have deleted the
        # document and freed its values. PyMongo's repetition has the same transaction number.
        try:
            attempt(partial(self.collection.insert_one, document), idempotent=False)
        except DuplicateKeyError:
            turns = Turns("no majority for the new document in time")
            while (found := self.get_committed(document["_id"])) is None:
                turns.next()
            return "version" in found
        return True


def _change_from_read(  # noqa: PLR0913 - each argument is a part of the change
    documents: Documents,
    document_id: ObjectId,
    changes: Changes,
    *,
    unique: Sequence[str],
    expected: Versions,
    where: Mapping[str, Any],
    check: Check | None,
    receipt: Receipt = None,
) -> Document | None:
    """`Documents.change` where the document must be read first: changes of the fields `unique`,
    changes that depend on the document, and those that `check` checks as a whole.

    The document is read, judged, and written on condition that it is still at the version read. A
    unique value is claimed before, and the old one freed after; claims.py says why that is right.
    """
    claims = documents.claims
    turns = Turns("the document kept changing under this request")
    while True:  # each turn follows another's change, and the deadline ends them
        before = documents.get_committed(document_id, where)
        if before is None or "version" not in before:
            return None
        if replay.is_fenced(before, receipt):
            raise OvertakenError("overtaken while changing")
        if not expected.admit(before["version"]):
            raise VersionMovedError
        made = changes(before) if callable(changes) else changes
        if check is not None:
            check({**before, **made})
        moving = {
            field: made[field]
            for field in unique
            if field in made
            and (made[field] is None or not claims.holds(before, field, made[field]))
        }
        wanted = claims.of(moving, document_id, before["version"] + 1)
        if wanted:
            documents.watch.changing()
        after = _claim_and_apply(documents, before, wanted, made, where, receipt=receipt)
        if after is not None:
            old = {field: before.get(field) for field in moving}
            claims.tidy(claims.of(old, document_id, after["version"]))
            return after
        _free_dead(documents, wanted)
        turns.next()


def _claim_and_apply(  # noqa: PLR0913 - the same
    documents: Documents,
    before: Document,
    wanted: Sequence[Claim],
    changes: Mapping[str, Any],
    where: Mapping[str, Any],
    *,
    receipt: Receipt,
) -> Document | None:
    """None: the document is no longer at the version we read."""
    at = versions(before["version"])
    taken: list[Claim] = []
    try:
        for claim in wanted:
            documents.claims.take(claim)
            taken.append(claim)
        return documents.apply(before["_id"], at, changes, where, receipt)
    except VersionMovedError:
        return None
    except UnavailableError:  # it may have taken effect
        raise
    except Exception:  # a value is taken, or cannot be written
        if taken:
            # A sibling change of this document may lean on what we took, so it is not ours to
            # free while the document stands where it is. Raising the version makes it dead.
            with suppress(UnavailableError):
                documents.apply(before["_id"], at, {})
                _free_dead(documents, taken)
        raise


def _free_dead(documents: Documents, mine: Sequence[Claim]) -> None:
    """Remove those of our own claims that can no longer commit."""
    if not mine:
        return
    claims = documents.claims
    owner = documents.get_committed(mine[0].owner)
    for claim in mine:
        if owner is not None and owner.get("version", claim.version) < claim.version:
            continue
        if owner is None or not claims.holds(owner, claim.field, claim.value):
            claims.tidy([claim])

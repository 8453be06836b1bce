"""References: fields with ids of documents of another resource, which must be there.

That the other document is there is checked when its id is written. What becomes of the field when
that document is deleted, the mark says (`fields.refers`): KEEP leaves the id as it is, REFUSE keeps
the other document from being deleted, CLEAR takes the id out once it is.

No transaction spans two documents. So who deletes one in the very moment in which its id is written
elsewhere may leave a reference that leads nowhere, and so does a crash between a deletion and what
clears after it. Whoever follows references must expect one.
"""

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from bson import ObjectId

from api.crud import values
from api.crud.consistency import DeclarationError
from api.crud.fields import OnDelete, Reference
from api.crud.resource import Resource
from api.store import Document, Documents, Store, UnavailableError
from api.store.deadline import attempt
from api.store.document import LIVE, now
from api.web.languages import say
from api.web.problems import FieldError, ProblemError, in_body, invalid

REFERRED = "Other documents refer to it, by {name}. Change or delete these first."


class Referrer(NamedTuple):
    """A field of another resource's documents, with ids of this one's."""

    documents: Documents
    field: str
    many: bool  # it is a list
    on_delete: OnDelete


class References:
    """The references that one resource's documents hold, and those that others hold to them."""

    def __init__(self, resource: Resource, store: Store, everything: Iterable[Resource]) -> None:
        known = {one.name: one for one in (*everything, resource)}
        for field, mark in resource.references.items():
            if mark.resource not in known:
                raise DeclarationError(
                    f"resource {resource.name}: {field} refers to {mark.resource}, "
                    "which is no resource"
                )
        self._marks = resource.references
        self._others = {
            mark.resource: known[mark.resource].documents(store) for mark in self._marks.values()
        }
        self._referrers = [
            Referrer(
                one.documents(store),
                field,
                values.item(one.kinds[field]) is not None,
                mark.on_delete,
            )
            for one in known.values()
            for field, mark in one.references.items()
            if mark.resource == resource.name
        ]

    def check(self, given: Document) -> None:
        """Raise 422 naming each reference that leads nowhere. `given`: fields as stored."""
        faults: list[FieldError] = []
        for field, mark in self._marks.items():
            value = given.get(field)
            many = isinstance(value, list)
            ids: list[Any] = list(value) if isinstance(value, list) else [value]
            ids = [one for one in ids if one is not None]
            there = self._existing(mark, ids) if ids else frozenset()
            detail = say("In {resource} there is no document with this id.", resource=mark.resource)
            faults += [
                in_body(f"{field}.{place}" if many else field, detail)
                for place, one in enumerate(ids)
                if one not in there
            ]
        if faults:
            raise invalid(*faults)

    def _existing(self, mark: Reference, ids: list[ObjectId]) -> frozenset[ObjectId]:
        others = self._others[mark.resource].collection
        query = {"_id": {"$in": ids}, "version": LIVE}
        found = attempt(lambda: list(others.find(query, {"_id": 1})), idempotent=True)
        return frozenset(one["_id"] for one in found)

    def before_deletion(self, document_id: ObjectId) -> None:
        """Raise 409 where a document that refers to this one keeps it from being deleted."""
        for one in self._referrers:
            if one.on_delete is OnDelete.REFUSE and one.documents.page(
                (), 1, where={one.field: document_id}
            ):
                name = f"{one.documents.name}.{one.field}"
                detail = say(REFERRED, name=name)
                raise ProblemError(409, detail, kind="referred-to")

    def after_deletion(self, document_id: ObjectId) -> None:
        """Take its id out of what refers to it, where that is declared."""
        for one in self._referrers:
            if one.on_delete is not OnDelete.CLEAR:
                continue
            taking = {"$pull": {one.field: document_id}}
            change: Document = taking if one.many else {"$unset": {one.field: ""}}
            change |= {"$inc": {"version": 1}, "$set": {"updated_at": now()}}
            others = one.documents.collection
            query = {one.field: document_id, "version": LIVE}
            with suppress(UnavailableError):  # the deletion was made, whatever becomes of this
                attempt(partial(others.update_many, query, change), idempotent=True)

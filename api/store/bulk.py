"""Many documents at once, under the same claims: a few round trips for hundreds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from bson import ObjectId
from pymongo.collection import Collection

from api.store.claim import as_document
from api.store.claims import Claims
from api.store.deadline import attempt
from api.store.errors import DuplicateError, VersionMovedError
from api.store.inserts import insert_all
from api.store.shape import LIVE, Document, fresh

BATCH = 500  # documents; with two unique fields, 1,000 claims in one command


class Refused(msgspec.Struct, frozen=True):
    """Line `index` of the input was not created: `field`'s value is taken."""

    index: int
    field: str


class BulkReport(msgspec.Struct):
    """What became of the input, line by line; created + existing + refused = lines."""

    created: int = 0
    existing: int = 0
    refused: list[Refused] = msgspec.field(default_factory=list)


def create_many(
    owners: Collection[dict[str, Any]],
    claims: Claims,
    items: Sequence[Mapping[str, Any]],
    ids: Sequence[ObjectId] | None,
    progress: Callable[[int], None] | None,
) -> BulkReport:
    """Create `items`; with `ids`, under these ids, and repeatable: what exists stays as it is.

    `progress` is called with the number of lines dealt with since its last call.
    """
    report = BulkReport()
    for start in range(0, len(items), BATCH):
        chunk = items[start : start + BATCH]
        chosen = ids[start : start + BATCH] if ids is not None else None
        _Batch(owners, claims, start, report).run(chunk, chosen)
        if progress is not None:
            progress(len(chunk))
    return report


class _Batch:
    def __init__(
        self,
        owners: Collection[dict[str, Any]],
        claims: Claims,
        offset: int,
        report: BulkReport,
    ) -> None:
        self._owners = owners
        self._claims = claims
        self._offset = offset
        self._report = report

    def run(self, items: Sequence[Mapping[str, Any]], ids: Sequence[ObjectId] | None) -> None:
        documents = {
            index: fresh(item, ObjectId() if ids is None else ids[index])
            for index, item in enumerate(items)
        }
        if ids is not None:
            self._report.existing += self._drop_live(documents)
        self._claim(documents, own_ids=ids is None)
        clashes = insert_all(self._owners, documents.values())
        self._report.created += len(documents) - len(clashes)
        left = {index: documents[index] for index in (list(documents)[n] for n in clashes)}
        found = self._drop_live(left)
        if ids is None:  # our own, applied although the answer was lost
            self._report.created += found
        else:
            self._report.existing += found
        for index in left:  # fenced by a tombstone after an earlier load had died
            self._refuse(index, "_id")

    def _drop_live(self, documents: dict[int, Document]) -> int:
        """Leave out the documents that exist already; how many."""
        if not documents:
            return 0
        wanted = {document["_id"]: index for index, document in documents.items()}
        query = {"_id": {"$in": list(wanted)}, "version": LIVE}
        found = attempt(lambda: list(self._owners.find(query, {"_id": 1})), idempotent=True)
        for document in found:
            del documents[wanted[document["_id"]]]
        return len(found)

    def _claim(self, documents: dict[int, Document], *, own_ids: bool) -> None:
        """Claim for all at once, settle the collisions singly, drop what is refused."""
        wanted = [
            (index, claim)
            for index, document in documents.items()
            for claim in self._claims.of(document, document["_id"], 1)
        ]
        collisions = insert_all(
            self._claims.collection, [as_document(claim) for _, claim in wanted]
        )
        lost: dict[int, str] = {}
        for index, claim in (wanted[position] for position in collisions):
            try:
                self._claims.take(claim)
            except (DuplicateError, VersionMovedError):
                lost.setdefault(index, claim.field)
        for index, field in lost.items():
            self._refuse(index, field)
            refused = documents.pop(index)
            # With ids of the caller's choice a second loader may lean on the same claims; ids
            # made here are known to nobody else.
            if own_ids:
                self._claims.tidy(self._claims.of(refused, refused["_id"], 1))

    def _refuse(self, index: int, field: str) -> None:
        self._report.refused.append(Refused(self._offset + index, field))

"""Many documents together, under the same claims: a few round trips for hundreds.

A batch is created as a single document is (claims.py): its claims, then its documents, each in one
command. What is in the way of claims is read in two more, so that a batch of values that are all
taken is refused as quickly as one that is created.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, NamedTuple, Protocol

import msgspec
from bson import ObjectId
from pymongo.collection import Collection

from api.store.claims import MAJORITY, Claim, Claims, as_document, insert_all
from api.store.deadline import attempt, deadline
from api.store.document import LIVE, Document, fresh
from api.store.errors import DuplicateError, UnavailableError, VersionMovedError

BATCH = 2000  # documents; with two unique fields, 4,000 claims in one command


class Refused(msgspec.Struct, frozen=True):
    """Line `index` of the input was not created: `field`'s value is taken."""

    index: int
    field: str


class BulkReport(msgspec.Struct):
    """What became of the input: how many were created, and which lines not, by their index.

    `existing`: there is a document with this id already.
    """

    created: int = 0
    existing: list[int] = msgspec.field(default_factory=list)
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


class Input(Protocol):
    """A batch that is to be created: with `ids`, if there are any, under these."""

    @property
    def numbers(self) -> list[int]:
        """The lines it was read from."""

    @property
    def items(self) -> Sequence[Mapping[str, Any]]:
        """The documents."""

    @property
    def ids(self) -> Sequence[ObjectId]:
        """Their ids; empty: new ones."""


class Batch(NamedTuple):
    """What became of the batch from these lines. No report: nobody knows."""

    numbers: list[int]
    report: BulkReport | None


AT_ONCE = 2  # batches under way: one has its claims taken while another's documents are inserted


def create_streamed(
    create: Callable[[Sequence[Mapping[str, Any]], Sequence[ObjectId] | None], BulkReport],
    batches: Iterable[Input],
    seconds: float,
) -> Iterator[Batch]:
    """Create batch after batch with `create`, each within `seconds`; in order.

    A few are under way while the next one is awaited. Where two batches hold one value, either may
    get it. After one of unknown outcome no more are begun, but all are asked for.
    """
    under_way: deque[tuple[list[int], Future[BulkReport]]] = deque()
    lost = False

    def bounded(batch: Input) -> BulkReport:
        with deadline(seconds):
            return create(batch.items, batch.ids or None)

    def oldest() -> Batch:
        nonlocal lost
        numbers, result = under_way.popleft()
        try:
            return Batch(numbers, result.result())
        except UnavailableError:
            lost = True
            return Batch(numbers, None)

    with ThreadPoolExecutor(AT_ONCE, "bulk") as pool:
        try:
            for batch in batches:
                if len(under_way) == AT_ONCE:
                    yield oldest()
                if lost:
                    yield from (oldest() for _ in range(len(under_way)))
                    yield Batch(batch.numbers, None)
                else:
                    result = pool.submit(copy_context().run, bounded, batch)
                    under_way.append((batch.numbers, result))
        except Exception:  # no more input: what was begun is told of first
            while under_way:
                yield oldest()
            raise
        while under_way:
            yield oldest()


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
            self._exist(self._drop_live(documents))
        self._claim(documents, own_ids=ids is None)
        try:
            clashes = insert_all(self._owners, documents.values())
        except UnavailableError:  # some may be there, or come to be
            raise
        except Exception:  # one cannot be written
            self._drop_live(documents)
            if ids is None:
                self._free(list(documents.values()))
            raise
        self._report.created += len(documents) - len(clashes)
        left = {index: documents[index] for index in (list(documents)[n] for n in clashes)}
        found = self._drop_live(left)
        if ids is None:  # our own, applied although the answer was lost
            self._report.created += len(found)
        else:
            self._exist(found)
        for index in left:  # fenced by a tombstone after an earlier load had died
            self._refuse(index, "_id")

    def _drop_live(self, documents: dict[int, Document]) -> list[int]:
        """Leave out the documents that exist already; which."""
        if not documents:
            return []
        ids = [document["_id"] for document in documents.values()]
        query = {"_id": {"$in": ids}, "version": LIVE}
        found = attempt(lambda: list(self._owners.find(query, {"_id": 1})), idempotent=True)
        living = {document["_id"] for document in found}
        gone = [index for index, document in documents.items() if document["_id"] in living]
        for index in gone:
            del documents[index]
        return gone

    def _exist(self, indexes: list[int]) -> None:
        self._report.existing += [self._offset + index for index in indexes]

    def _claim(self, documents: dict[int, Document], *, own_ids: bool) -> None:
        """Claim for all in one command, settle the collisions singly, drop what is refused."""
        wanted = [
            (index, claim)
            for index, document in documents.items()
            for claim in self._claims.of(document, document["_id"], 1)
        ]
        collisions = insert_all(
            self._claims.collection, [as_document(claim) for _, claim in wanted]
        )
        lost: dict[int, str] = {}
        clashing = [wanted[position] for position in collisions]
        # A value that an earlier line of this batch has claimed is taken, however old the claim is:
        # that line is written with the batch, unless it is refused.
        made = set(range(len(wanted))).difference(collisions)
        own = {claim.id: index for n, (index, claim) in enumerate(wanted) if n in made}
        held = _held(self._owners, self._claims, [claim for _, claim in clashing])
        for index, claim in clashing:
            before = own.get(claim.id)
            taken = claim.id in held or (before is not None and before not in lost)
            if index not in lost and (taken or not self._take(claim)):
                lost[index] = claim.field
        gone = [documents.pop(index) for index in lost]
        for index, field in lost.items():
            self._refuse(index, field)
        # With ids of the caller's choice a second loader may lean on the same claims; ids made
        # here are known to nobody else.
        if own_ids and gone:
            self._free(gone)

    def _take(self, claim: Claim) -> bool:
        try:
            self._claims.take(claim)
        except (DuplicateError, VersionMovedError):
            return False
        return True

    def _free(self, refused: Sequence[Document]) -> None:
        """Remove the claims of documents that will not be; as Claims.tidy does, in one command."""
        made = [claim.id for d in refused for claim in self._claims.of(d, d["_id"], 1)]
        condition = {"_id": {"$in": made}, "owner": {"$in": [d["_id"] for d in refused]}}
        with suppress(UnavailableError):
            attempt(lambda: self._claims.collection.delete_many(condition), idempotent=True)

    def _refuse(self, index: int, field: str) -> None:
        self._report.refused.append(Refused(self._offset + index, field))


def _held(
    owners: Collection[Document], claims: Claims, clashing: Sequence[Claim]
) -> frozenset[str]:
    """Which of these claims stand for values that another document holds. Of the rest, each is
    for Claims.take to judge.
    """
    if not clashing:
        return frozenset()
    ids = {"_id": {"$in": [claim.id for claim in clashing]}}
    read = claims.collection.with_options(read_concern=MAJORITY)
    found = attempt(lambda: {c["_id"]: c["owner"] for c in read.find(ids)}, idempotent=True)
    whose = {"_id": {"$in": list(set(found.values()))}, "version": LIVE}
    shown = {claim.field: 1 for claim in clashing}
    living = owners.with_options(read_concern=MAJORITY)
    documents = attempt(lambda: {d["_id"]: d for d in living.find(whose, shown)}, idempotent=True)
    return frozenset(
        claim.id
        for claim in clashing
        if (document := documents.get(found.get(claim.id))) is not None
        and document["_id"] != claim.owner
        and claims.holds(document, claim.field, claim.value)
    )

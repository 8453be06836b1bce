"""Uniqueness across shards: claims.

A unique index must begin with the shard key, so no index can keep e-mail addresses unique in a
collection sharded by `_id`. But `_id` itself is unique across the cluster where it is the shard
key. So each unique value gets a small document of its own, the claim

    {_id: "users.email:ada@example.com", owner: <_id of the user>, version: <int>, at: <date>}

in `claims`, sharded by hashed `_id` and written with w:majority before the document that needs it.
`version` is the version the owner has once the write that made the claim is committed: 1 for a
new document, n+1 for a change of one at n.

There is no transaction over the two documents, so one of them has to decide. It is the owner's
document: **a claim counts if and only if its owner's document holds the value.** Writing that
document is the commit point of every operation:

* create: claims (owner, 1), then insert the document at version 1.
* change: claims (owner, n+1), then update the document where version = n, to n+1; then remove the
  claims of the old values.
* delete: delete the document, then its claims.

Whoever finds a value claimed reads the owner's document and judges:

    HELD     it holds the value. The value is taken.
    DEAD     it is at the claim's version or later without the value, or a tombstone stands in its
             place. The write that made the claim can never commit now (it requires an older
             version, or a free `_id`), and any later write that wants the value must first move
             the claim to a later version. So DEAD stays DEAD until the claim itself changes.
    PENDING  anything else: its writer is at work, or died on the way.

Only a DEAD claim is ever removed or taken over, in one conditional write on (_id, owner, version),
so of several takers one succeeds. A PENDING claim older than the grace time is made DEAD first, by
a *fence* its writer cannot pass:

* no document: insert the tombstone `{_id: owner, tombstone: <date>}`. From here the writer's
  insert is a duplicate key. If the writer was quicker, the tombstone is the duplicate key and the
  claim is HELD. The `_id` slot decides; one of the two gets it.
* a document at an older version: raise its version. The writer's condition no longer matches.

The grace time thus decides only who is disturbed, never who is right: with clocks hours apart a
slow sign-up may be sent back to begin anew under a new `_id`, but two documents never hold one
value. A tombstone costs some fifty bytes per sign-up that died midway, and stays: removing it would
bring a clock back into the argument.

A create sends its claims in one unordered insert, so that they cost one round trip however many
they are. What a claim means does not depend on when its siblings are made, so nothing above
changes. But who took claims one by one, in the declared order, could never wait in a circle, and
now two creators of the same person may each hold what the other wants; both would be refused, and
nobody would have the values. Hence the order is restored where it matters: who collides first lets
go of its claims *behind* the first collision (its `_id` is known to nobody, so they are its own to
remove), then takes what is left one by one, in order, and looks at a PENDING claim for a moment
longer before it gives up. Whoever waits then holds only claims that come before what it waits for:
there is no circle, and the creator that is furthest gets through.

Crashes, step by step. Between a claim and the commit: PENDING, so after the grace time anybody can
take the value; the same owner can immediately. Between commit and the removal of old claims: these
are DEAD, and free for anybody. After a delete, before its claims are gone: PENDING, then fenced
like an owner that was never inserted. At no point is a value held by nobody and yet taken for good.

What is read to judge is read with read concern majority: a verdict must not rest on a write that a
failover rolls back. A claim is never moved to an *earlier* version: it would take the claim from
under a sibling write that has already seen the later document.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import Any, NamedTuple

import msgspec
from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern

from api.store.deadline import Turns, attempt, tally_conflicts
from api.store.document import Document
from api.store.errors import DuplicateError, UnavailableError, VersionMovedError

COLLECTION = "claims"
MAJORITY = ReadConcern("majority")
PATIENCE = 0.5  # seconds a creator waits for the verdict on a claim that stands in its way
DUPLICATE_KEY = 11000  # MongoDB's error code


def as_is(value: str) -> str:
    """The key of a value that is compared as it is stored."""
    return value


class Unique(msgspec.Struct, frozen=True):
    """A field no two documents of a collection share.

    `key` folds the stored value to what is compared (`AB-12` and `ab 12` may be one number).
    """

    field: str
    key: Callable[[str], str] = as_is


class Claim(NamedTuple):
    """That `owner`, once at `version`, holds `value` in `field`."""

    id: str
    field: str
    value: str  # folded by the field's key
    owner: ObjectId
    version: int


class Watch:
    """Is told of each try to take a unique value, before it is made: whoever tries learns whether
    another document has the value. May raise to prevent it. This one lets everybody.
    """

    def creating(self) -> AbstractContextManager[None]:
        """Around the creation of one document with unique values."""
        return nullcontext()

    def changing(self) -> None:
        """Before one document's unique values are changed to others."""


class Verdict(Enum):
    """What the owner's document says of a claim."""

    HELD = auto()
    DEAD = auto()
    PENDING = auto()


class Found(NamedTuple):
    """A claim as it stands in the database."""

    owner: ObjectId
    version: int
    at: datetime


def as_document(claim: Claim) -> dict[str, Any]:
    """The claim as it is stored."""
    return {
        "_id": claim.id,
        "owner": claim.owner,
        "version": claim.version,
        "at": datetime.now(UTC),
    }


class Claims:
    """The claims of one collection's unique fields."""

    def __init__(
        self,
        claims: Collection[dict[str, Any]],
        owners: Collection[dict[str, Any]],
        uniques: tuple[Unique, ...],
        grace: float,
    ) -> None:
        self.collection = claims
        self._read = claims.with_options(read_concern=MAJORITY)
        self._owners = owners
        self._owners_read = owners.with_options(read_concern=MAJORITY)
        self._uniques = {unique.field: unique for unique in uniques}
        self._grace = timedelta(seconds=grace)

    def of(self, document: dict[str, Any], owner: ObjectId, version: int) -> list[Claim]:
        """The claims that `document` needs at `version`, in the order they are declared."""
        return [
            self.name(field, document[field], owner, version)
            for field in self._uniques
            if document.get(field) is not None
        ]

    def name(self, field: str, value: str, owner: ObjectId, version: int) -> Claim:
        """One claim, not yet written."""
        key = self._uniques[field].key(value)
        return Claim(f"{self._owners.name}.{field}:{key}", field, key, owner, version)

    def take_all(self, wanted: Sequence[Claim]) -> None:
        """Make all the claims of a document that is not yet there, or none: `DuplicateError`.

        In one round trip, when nothing is in the way; see the module's text for when something is.
        """
        clashes = insert_all(self.collection, [as_document(claim) for claim in wanted])
        if not clashes:
            return
        tally_conflicts(len(clashes))
        first = min(clashes)
        self.tidy(claim for place, claim in enumerate(wanted) if place > first)
        try:
            for claim in wanted[first:]:
                self.take(claim, PATIENCE)
        except DuplicateError:
            self.tidy(wanted)
            raise

    def take(self, wanted: Claim, patience: float = 0) -> None:
        """Make the claim, or raise `DuplicateError` naming its field.

        A claim that is PENDING is looked at again for `patience` seconds.
        Raises `VersionMovedError` when the owner itself has claimed the value for a later version.
        Every turn of the loop follows somebody else's progress, or is bounded, so it ends.
        """
        turns = Turns(f"no verdict on the claim for {wanted.field} in time")
        ends = time.monotonic() + patience
        while not self._insert(wanted):
            found = self._find(wanted.id)
            if found is not None and self._settle(found, wanted, time.monotonic() < ends):
                return
            turns.next()

    def owner_of(self, field: str, value: str) -> ObjectId | None:
        """Whom the claim on this value names. Its document may not hold the value: look."""
        claim = self.name(field, value, ObjectId(), 0)
        found = attempt(
            lambda: self.collection.find_one({"_id": claim.id}, {"owner": 1}), idempotent=True
        )
        return None if found is None else found["owner"]

    def holds(self, document: dict[str, Any], field: str, value: str) -> bool:
        """Whether the document holds this value, as the field's key compares."""
        stored = document.get(field)
        key = self._uniques[field].key
        return stored is not None and key(stored) == key(value)

    def remove(self, claim: Claim) -> None:
        """Remove a claim of this owner up to its version; nothing if it has moved on.

        For claims known to be DEAD, or whose writer gives up before its commit and alone knows
        the owner's `_id`.
        """
        condition = {"_id": claim.id, "owner": claim.owner, "version": {"$lte": claim.version}}
        attempt(lambda: self.collection.delete_one(condition), idempotent=True)

    def tidy(self, old: Iterable[Claim]) -> None:
        """Remove claims as `remove` does; what a failure leaves behind harms nobody."""
        with suppress(UnavailableError):
            for claim in old:
                self.remove(claim)

    def _insert(self, claim: Claim) -> bool:
        try:
            attempt(lambda: self.collection.insert_one(as_document(claim)), idempotent=True)
        except DuplicateKeyError:
            tally_conflicts()
            return False
        return True

    def _find(self, claim_id: str) -> Found | None:
        raw = attempt(lambda: self._read.find_one({"_id": claim_id}), idempotent=True)
        return None if raw is None else Found(raw["owner"], raw["version"], raw["at"])

    def _settle(self, found: Found, wanted: Claim, patient: bool) -> bool:
        """Whether `wanted` now stands in place of `found`. False: look again."""
        if found.owner == wanted.owner:
            if found.version > wanted.version:
                raise VersionMovedError
            return found.version == wanted.version or self._move(found, wanted)
        verdict = self._judge(found, wanted)
        if verdict is Verdict.HELD:
            raise DuplicateError(wanted.field)
        if verdict is Verdict.DEAD:
            return self._move(found, wanted)
        if datetime.now(UTC) - found.at < self._grace:
            if patient:
                return False
            raise DuplicateError(wanted.field)
        self._fence(found)
        return False

    def _judge(self, found: Found, wanted: Claim) -> Verdict:
        fields = {"version": 1, "tombstone": 1, wanted.field: 1}
        owner = attempt(
            lambda: self._owners_read.find_one({"_id": found.owner}, fields), idempotent=True
        )
        if owner is None:
            return Verdict.PENDING
        if "tombstone" in owner:
            return Verdict.DEAD
        if self.holds(owner, wanted.field, wanted.value):
            return Verdict.HELD
        return Verdict.DEAD if owner["version"] >= found.version else Verdict.PENDING

    def _fence(self, found: Found) -> None:
        """Make it impossible for the writer of a pending claim to commit; or find it has."""
        tombstone = {"_id": found.owner, "tombstone": datetime.now(UTC)}
        older = {"_id": found.owner, "version": {"$lt": found.version}}
        raised = {"$set": {"version": found.version}}
        try:
            attempt(lambda: self._owners.insert_one(tombstone), idempotent=True)
        except DuplicateKeyError:
            attempt(lambda: self._owners.update_one(older, raised), idempotent=True)

    def _move(self, found: Found, wanted: Claim) -> bool:
        condition = {"_id": wanted.id, "owner": found.owner, "version": found.version}
        change = {
            "$set": {"owner": wanted.owner, "version": wanted.version, "at": datetime.now(UTC)}
        }
        # Repeated after a lost answer it matches nothing, and the next look finds it is ours.
        result = attempt(lambda: self.collection.update_one(condition, change), idempotent=True)
        return result.modified_count == 1


def insert_all(into: Collection[Document], documents: Iterable[Document]) -> list[int]:
    """Insert unordered, in one command; return the positions whose `_id` existed already."""
    batch = list(documents)
    if not batch:
        return []
    try:
        attempt(partial(into.insert_many, batch, ordered=False), idempotent=True)
    except BulkWriteError as error:
        errors = error.details["writeErrors"]
        if any(e["code"] != DUPLICATE_KEY for e in errors):
            raise
        if error.details.get("writeConcernErrors"):
            raise UnavailableError("no majority acknowledged the bulk insert") from error
        return [e["index"] for e in errors]
    return []

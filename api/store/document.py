"""What every stored document has in common.

`_id` (ObjectId), `version` (1, then one more per change), `created_at`, `updated_at`; `marks`, of
the last requests that changed it, where these may be repeated (replay.py). What has no version is
no document: a tombstone, never seen from outside. One that fences (claims.py) stays; one that a
deletion left (replay.py) has its time in `deleted`, and goes after a while.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bson import ObjectId

Document = dict[str, Any]

LIVE: Mapping[str, Any] = {"$exists": True}  # the version of anything that is a document
ANY: Mapping[str, Any] = {}  # no condition besides


class Versions(NamedTuple):
    """The versions at which a write may meet its document.

    only    one of these; None: whichever it is at
    never   none of these
    """

    only: frozenset[int] | None = None
    never: frozenset[int] = frozenset()

    def admit(self, version: int) -> bool:
        """Whether a document at `version` may be written."""
        return (self.only is None or version in self.only) and version not in self.never

    def condition(self) -> Any:
        """A filter on `version` that admits these; what is no document never matches."""
        found = dict(LIVE) if self.only is None else {"$in": sorted(self.only)}
        return {**found, "$nin": sorted(self.never)} if self.never else found


def versions(expected: int | Versions | None) -> Versions:
    """A single expected version, or none, in the general form."""
    if isinstance(expected, Versions):
        return expected
    return Versions() if expected is None else Versions(frozenset((expected,)))


def fresh(fields: Mapping[str, Any], document_id: ObjectId) -> Document:
    """A document at version 1; fields that are None are left out."""
    moment = now()
    return {
        "_id": document_id,
        **{field: value for field, value in fields.items() if value is not None},
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }


def now() -> datetime:
    """The time in the database's resolution, so that what we return equals what is read later."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

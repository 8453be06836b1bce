"""Changing a unique value: claim the new one, change the document, free the old one.

The protocol, and why it is right, is in claims.py.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from api.store.claims import Claim
from api.store.deadline import pause
from api.store.errors import DuplicateError, UnavailableError, VersionMovedError
from api.store.shape import Document

if TYPE_CHECKING:
    from api.store.documents import Documents

TURNS = 8  # against concurrent changes of the same document, before the caller gets 503


def change_unique(
    documents: "Documents",
    document_id: ObjectId,
    changes: Mapping[str, Any],
    unique: Sequence[str],
    expected: int | None,
) -> Document | None:
    """`Documents.change` for changes that name the fields `unique`."""
    claims = documents.claims
    for turn in range(TURNS):
        before = documents.get_committed(document_id)
        if before is None or "version" not in before:
            return None
        if expected not in (None, before["version"]):
            raise VersionMovedError
        moving = {
            field: changes[field]
            for field in unique
            if changes[field] is None or not claims.holds(before, field, changes[field])
        }
        wanted = claims.of(moving, document_id, before["version"] + 1)
        after = _claim_and_apply(documents, before, wanted, changes)
        if after is not None:
            old = {field: before.get(field) for field in moving}
            claims.tidy(claims.of(old, document_id, after["version"]))
            return after
        _free_dead(documents, wanted)
        if not pause(turn):
            break
    raise UnavailableError("the document kept changing under this request")


def _claim_and_apply(
    documents: "Documents", before: Document, wanted: Sequence[Claim], changes: Mapping[str, Any]
) -> Document | None:
    """None: the document is no longer at the version we read."""
    taken: list[Claim] = []
    try:
        for claim in wanted:
            documents.claims.take(claim)
            taken.append(claim)
    except VersionMovedError:
        return None
    except DuplicateError:
        if taken:
            # A sibling change of this document may lean on what we took, so it is not ours to
            # free while the document stands where it is. Raising the version makes it dead.
            with suppress(UnavailableError):
                documents.apply(before["_id"], before["version"], {})
                _free_dead(documents, taken)
        raise
    return documents.apply(before["_id"], before["version"], changes)


def _free_dead(documents: "Documents", mine: Sequence[Claim]) -> None:
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

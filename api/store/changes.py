"""Changes that depend on what the document is: of unique values, and under a check of the whole.

The document is read, judged, and written on condition that it is still at the version read. A
unique value is claimed before, and the old one freed after; why that is right is in claims.py.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from bson import ObjectId

from api.store import marks
from api.store.claim import Claim, Watch
from api.store.claims import Claims
from api.store.deadline import pause
from api.store.errors import (
    OvertakenError,
    UnavailableError,
    VersionMovedError,
)
from api.store.marks import Mark
from api.store.shape import ANY, Document, Versions, versions

Check = Callable[[Document], None]
"""Gets the document as it would be stored; raises to prevent the change."""
Changes = Mapping[str, Any] | Callable[[Document], Mapping[str, Any]]
"""New values by field, or a function that makes them of the present document."""


class Changed(Protocol):
    """What a change needs of `Documents`, which imports this module."""

    @property
    def claims(self) -> Claims: ...

    @property
    def watch(self) -> Watch: ...

    def get_committed(
        self, document_id: ObjectId, where: Mapping[str, Any] = ANY
    ) -> Document | None: ...

    def apply(
        self,
        document_id: ObjectId,
        expected: Versions,
        changes: Mapping[str, Any],
        where: Mapping[str, Any] = ANY,
        mark: Mark = None,
    ) -> Document | None: ...


def change_from_read(  # noqa: PLR0913 - each argument is a part of the change
    documents: Changed,
    document_id: ObjectId,
    changes: Changes,
    *,
    unique: Sequence[str],
    expected: Versions,
    where: Mapping[str, Any],
    check: Check | None,
    mark: Mark = None,
) -> Document | None:
    """`Documents.change` for changes of the fields `unique`, and for those that depend on the
    document or are checked by `check`.
    """
    claims = documents.claims
    turn = 0
    while True:  # each turn follows another's change, and the deadline ends them
        before = documents.get_committed(document_id, where)
        if before is None or "version" not in before:
            return None
        if marks.is_void(before, mark):
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
        after = _claim_and_apply(documents, before, wanted, made, where, mark=mark)
        if after is not None:
            old = {field: before.get(field) for field in moving}
            claims.tidy(claims.of(old, document_id, after["version"]))
            return after
        _free_dead(documents, wanted)
        if not pause(turn):
            raise UnavailableError("the document kept changing under this request")
        turn += 1


def _claim_and_apply(  # noqa: PLR0913 - the same
    documents: Changed,
    before: Document,
    wanted: Sequence[Claim],
    changes: Mapping[str, Any],
    where: Mapping[str, Any],
    *,
    mark: Mark,
) -> Document | None:
    """None: the document is no longer at the version we read."""
    at = versions(before["version"])
    taken: list[Claim] = []
    try:
        for claim in wanted:
            documents.claims.take(claim)
            taken.append(claim)
        return documents.apply(before["_id"], at, changes, where, mark)
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


def _free_dead(documents: Changed, mine: Sequence[Claim]) -> None:
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

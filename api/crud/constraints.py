"""A resource's constraints: rules over several fields at once, on what would be stored."""

from typing import Any

from api.crud.declaration import Constraint, Resource
from api.store import Document
from api.store.documents import Check
from api.web.problems import FieldError, ProblemError, in_body, invalid


def check(constraints: tuple[Constraint, ...], fields: dict[str, Any]) -> None:
    """Raise 422 naming each field at fault."""
    faults = _faults(constraints, fields)
    if faults:
        raise invalid(*faults)


def check_stored(constraints: tuple[Constraint, ...], document: Document) -> None:
    """Raise 409 naming each field at fault: good by itself, but not beside what is stored."""
    faults = _faults(constraints, document)
    if faults:
        raise conflict(*faults)


def conflict(*faults: FieldError) -> ProblemError:
    """409: these fields are good by themselves, but not beside what is stored."""
    detail = "Some fields do not go with what the document holds."
    return ProblemError(409, detail, kind="conflict", errors=faults)


def _faults(constraints: tuple[Constraint, ...], fields: Document) -> tuple[FieldError, ...]:
    return tuple(
        in_body(field, detail)
        for one in constraints
        for field, detail in one.faults(fields).items()
    )


def check_change(resource: Resource, changes: Document, merged: Document) -> Check | None:
    """Check a change as far as its own fields tell, and return what must be checked against the
    stored document; None: nothing, so that the change needs no reading first.

    `merged`: objects of which a part changes.
    """
    fields = changes.keys() | merged.keys()
    touched = [one for one in resource.constraints if not fields.isdisjoint(one.fields)]
    at_once = tuple(one for one in touched if changes.keys() >= set(one.fields))
    check(at_once, changes)
    later = tuple(one for one in touched if one not in at_once)
    return (lambda document: check_stored(later, document)) if later else None

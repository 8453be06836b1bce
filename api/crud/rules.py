"""Rules over whole documents: constraints over several fields, and fields that are states.

A constraint judges what would be stored. A field that is a state declares which state may follow
which; this is decided in the very write that changes it. The condition is part of the update's
filter, so of two requests that make one change at the same time, one makes it and the other is told
that it was made.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from api.store import Document
from api.store.documents import Check
from api.web.problems import FieldError, ProblemError, in_body, invalid


class Transition(msgspec.Struct, frozen=True):
    """A field, and from which states each state may be reached; from no other, not from itself.

    `stamps` gets the new state and returns the stored fields that record who changed it and when.
    """

    field: str
    sources: Mapping[str, tuple[str, ...]]
    stamps: Callable[[str], dict[str, Any]] = lambda _state: {}


def states_kept(
    transitions: tuple[Transition, ...], changes: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[str, Any]:
    """The states among the changes that the document is in already."""
    return {
        one.field: changes[one.field]
        for one in transitions
        if one.field in changes and document.get(one.field) == changes[one.field]
    }


def state_condition(
    transitions: tuple[Transition, ...], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """What must hold of a document for these changes to be made."""
    return {
        one.field: {"$in": list(one.sources.get(changes[one.field], ()))}
        for one in transitions
        if one.field in changes
    }


def state_stamps(transitions: tuple[Transition, ...], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the changes record besides themselves."""
    found: dict[str, Any] = {}
    for one in transitions:
        if one.field in changes:
            found.update(one.stamps(changes[one.field]))
    return found


def state_refused(
    transitions: tuple[Transition, ...], changes: Mapping[str, Any], document: Mapping[str, Any]
) -> ProblemError:
    """409, naming the state that the document is in."""
    errors = [
        in_body(
            one.field, f"It is {document[one.field]}, which {changes[one.field]} cannot follow."
        )
        for one in transitions
        if one.field in changes
        and document[one.field] not in one.sources.get(changes[one.field], ())
    ]
    detail = "The document is not in a state that this change may follow."
    return ProblemError(409, detail, kind="state", errors=tuple(errors))


class Constraint(msgspec.Struct, frozen=True):
    """A rule over several fields of a document, whichever of them a request changes.

    `faults` gets the document as it would be stored, and returns a sentence per field at fault;
    dots in its name lead into objects (`address.city`, `lines.2.price`).
    """

    fields: tuple[str, ...]
    faults: Callable[[Mapping[str, Any]], dict[str, str]]


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


def check_change(
    constraints: tuple[Constraint, ...], changes: Document, merged: Document
) -> Check | None:
    """Check a change as far as its own fields tell, and return what must be checked against the
    stored document; None: nothing, so that the change needs no reading first.

    `merged`: objects of which a part changes.
    """
    fields = changes.keys() | merged.keys()
    touched = [one for one in constraints if not fields.isdisjoint(one.fields)]
    at_once = tuple(one for one in touched if changes.keys() >= set(one.fields))
    check(at_once, changes)
    later = tuple(one for one in touched if one not in at_once)
    return (lambda document: check_stored(later, document)) if later else None

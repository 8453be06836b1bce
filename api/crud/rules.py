"""Rules over whole documents: constraints over several fields, and fields that are states.

A constraint judges what would be stored. A field that is a state declares which state may follow
which; this is decided in the very write that changes it. The condition is part of the update's
filter, so of two requests that make one change at the same time, one makes it and the other is told
that it was made.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from api.store import Document
from api.store.documents import Check
from api.web.languages import say
from api.web.problems import FieldError, ProblemError, in_body, invalid

CANNOT_FOLLOW = "It is {present}, which {wanted} cannot follow."


class States(msgspec.Struct, frozen=True, eq=False):
    """A mark: the field is a state, and from which others each may be reached; not from itself.

    `stamps` gets the new state and returns the stored fields that record who changed it and when.
    """

    sources: Mapping[str, tuple[str, ...]]
    stamps: Callable[[str], dict[str, Any]] | None

    def condition(self, state: str) -> Document:
        """What the present state must be for this one to follow."""
        return {"$in": list(self.sources.get(state, ()))}


def states(
    sources: Mapping[str, Iterable[str]], stamps: Callable[[str], dict[str, Any]] | None = None
) -> States:
    """The mark, of texts or members of a `StrEnum`. What is not named cannot be reached."""
    plain = {str(to): tuple(str(one) for one in froms) for to, froms in sources.items()}
    return States(plain, stamps)


def states_kept(
    declared: Mapping[str, States], changes: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[str, Any]:
    """The states among the changes that the document is in already."""
    stated = declared.keys() & changes.keys()
    return {name: changes[name] for name in stated if document.get(name) == changes[name]}


def state_condition(declared: Mapping[str, States], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What must hold of a document for these changes to be made."""
    return {name: one.condition(changes[name]) for name, one in declared.items() if name in changes}


def state_stamps(declared: Mapping[str, States], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the changes record besides themselves."""
    found: dict[str, Any] = {}
    for name, one in declared.items():
        if name in changes and one.stamps is not None:
            found.update(one.stamps(changes[name]))
    return found


def state_refused(
    declared: Mapping[str, States], changes: Mapping[str, Any], document: Mapping[str, Any]
) -> ProblemError:
    """409, naming the state that the document is in."""
    errors = [
        in_body(name, say(CANNOT_FOLLOW, present=document[name], wanted=changes[name]))
        for name, one in declared.items()
        if name in changes and document[name] not in one.sources.get(changes[name], ())
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

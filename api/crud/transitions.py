"""Fields that are states: which state may follow which, decided in the very write that changes it.

The condition is part of the update's filter, so of two requests at once that make one change, one
makes it and the other is told that it was made.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from api.web.problems import ProblemError, in_body


class Transition(msgspec.Struct, frozen=True):
    """A field, and from which states each state may be reached; from no other, not from itself.

    `stamps` gets the new state and returns the stored fields that record who changed it and when.
    """

    field: str
    sources: Mapping[str, tuple[str, ...]]
    stamps: Callable[[str], dict[str, Any]] = lambda _state: {}


def kept(
    transitions: tuple[Transition, ...], changes: Mapping[str, Any], document: Mapping[str, Any]
) -> dict[str, Any]:
    """The states among the changes that the document is in already."""
    return {
        one.field: changes[one.field]
        for one in transitions
        if one.field in changes and document.get(one.field) == changes[one.field]
    }


def condition(transitions: tuple[Transition, ...], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What must hold of a document for these changes to be made."""
    return {
        one.field: {"$in": list(one.sources.get(changes[one.field], ()))}
        for one in transitions
        if one.field in changes
    }


def stamps(transitions: tuple[Transition, ...], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the changes record besides themselves."""
    found: dict[str, Any] = {}
    for one in transitions:
        if one.field in changes:
            found.update(one.stamps(changes[one.field]))
    return found


def refused(
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

"""A resource's constraints: rules over several fields at once, on what would be stored."""

from typing import Any

from api.crud.declaration import Constraint, Resource
from api.store import Document
from api.store.changes import Check
from api.web.problems import in_body, invalid


def check(constraints: tuple[Constraint, ...], document: dict[str, Any]) -> None:
    """Raise 422 naming each field at fault."""
    faults = {
        field: detail for one in constraints for field, detail in one.faults(document).items()
    }
    if faults:
        raise invalid(*(in_body(field, detail) for field, detail in faults.items()))


def check_change(resource: Resource, changes: Document) -> Check | None:
    """Check a change as far as its own fields tell, and return what must be checked against the
    stored document; None: nothing, so that the change needs no reading first.
    """
    touched = [one for one in resource.constraints if not changes.keys().isdisjoint(one.fields)]
    at_once = tuple(one for one in touched if changes.keys() >= set(one.fields))
    check(at_once, changes)
    later = tuple(one for one in touched if one not in at_once)
    return (lambda document: check(later, document)) if later else None

"""Whether a declaration can work. Refused at import: the sentence says what to change."""

import datetime
import decimal
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import msgspec

from api.crud import values

if TYPE_CHECKING:
    from api.crud.declaration import Resource

ALWAYS = frozenset({"_id", "version", "created_at", "updated_at"})  # in every document
HASHED_ID = {"_id": "hashed"}

# What BSON has no type for, and `values.conversion` makes none of.
UNSTORABLE = (
    msgspec.Struct, set, frozenset, decimal.Decimal, uuid.UUID, datetime.time, datetime.timedelta,
)  # fmt: skip


class DeclarationError(Exception):
    """A resource is declared in a way that cannot work."""


def check(resource: "Resource") -> None:
    """Raise DeclarationError if the parts of a declaration contradict each other."""
    for problem in _problems(resource):
        raise DeclarationError(f"resource {resource.name}: {problem}")


def _problems(resource: "Resource") -> Any:
    kinds = values.hints(resource.read)
    if resource.unique and dict(resource.shard_key) != HASHED_ID:
        yield (
            "it has unique fields, so its shard key must be the hashed _id: claims name an owner "
            "by _id alone (store/claims.py)"
        )
    if resource.owner not in (None, "_id") and resource.owner not in kinds:
        yield f"its owner, {resource.owner}, is no field of {resource.read.__name__}"
    for shape in (resource.create, *resource.change.values()):
        yield from () if shape is None else _unstorable(shape)
    for field in (*resource.filters, *resource.sorts):
        if field not in kinds:
            yield f"{field} is no field of {resource.read.__name__}: lists filter and sort by these"
    for field in resource.sorts:
        yield from _unsortable(resource, field, kinds)


def _unstorable(shape: type[msgspec.Struct]) -> Any:
    for field, kind in values.hints(shape).items():
        for part in _types(kind):
            if isinstance(part, type) and issubclass(part, UNSTORABLE):
                yield (
                    f"{field} in {shape.__name__} holds {part.__name__}, which is not stored: "
                    "give it fields of its own, or take text, numbers, dates, and lists of them"
                )


def _types(kind: Any) -> Iterator[Any]:
    """All types that a type is made of."""
    origin, parts = get_origin(kind), get_args(kind)
    yield origin or kind
    for part in parts[:1] if origin is Annotated else parts:
        yield from _types(part)


def _unsortable(resource: "Resource", field: str, kinds: dict[str, Any]) -> Any:
    """A page begins behind a value; a document without it would be in no page (store/pages.py)."""
    if field in kinds and values.is_optional(kinds[field]):
        yield f"{field} may be null in {resource.read.__name__}, so lists cannot be sorted by it"
    if not _always_created(resource, field):
        yield (
            f"lists are sorted by {field}, which a new document may lack: "
            "require it in `create`, or give it in `defaults`"
        )
    for shape in resource.change.values():
        if field in shape.__struct_fields__ and values.is_optional(values.hints(shape)[field]):
            yield f"{shape.__name__} can set {field} to null, so lists cannot be sorted by it"


def _always_created(resource: "Resource", field: str) -> bool:
    if field in ALWAYS or field == resource.owner or field in resource.defaults():
        return True
    if resource.create is None:  # documents come from code of ours, not from bodies
        return True
    for made in msgspec.structs.fields(resource.create):
        if made.name == field:
            return made.required or made.default is not None
    return False

"""Whether a declaration can work. One that cannot is refused at import, with a sentence."""

import datetime
import decimal
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec

from api.crud import fields, values
from api.crud.access import Role, Who
from api.crud.fields import (
    MEMBERS,
    OWNER,
    WHO_SETS,
    Attachment,
    Field,
    Mark,
    OnDelete,
    Reference,
    Shape,
    UniqueBy,
)
from api.crud.resource import Resource
from api.errors import ApiError
from api.settings import Settings
from api.web.expected import plain

ALWAYS = frozenset({"_id", "version", "created_at", "updated_at"})  # in every document
HASHED_ID = {"_id": "hashed"}

# What BSON has no type for, or we no rules: `values.conversion` makes nothing of it.
UNSTORABLE = (
    msgspec.Struct, dict, set, frozenset, decimal.Decimal, uuid.UUID, datetime.time,
    datetime.timedelta,
)  # fmt: skip
IN_LISTS = frozenset({"eq", "in"})  # a range or prefix is two bounds, which two items could meet


class DeclarationError(ApiError):
    """A resource is declared in a way that cannot work."""


def check(resource: Resource) -> None:
    """Raise DeclarationError if the parts of a declaration contradict each other."""
    for problem in _problems(resource):
        raise DeclarationError(f"resource {resource.name}: {problem}")


def _problems(resource: Resource) -> Any:
    for one in resource.declared:
        yield from _mismarked(resource, one)
    for mark in (OWNER, MEMBERS):
        if len(named := [one.name for one in resource.declared if mark in one.flags]) > 1:
            yield f"{' and '.join(named)} are both marked {mark.name}: only one can be"
    if resource.unique and dict(resource.shard_key) != HASHED_ID:
        yield (
            "it has unique fields, so its shard key must be the hashed _id: claims name an owner "
            "by _id alone (store/claims.py)"
        )
    if (
        resource.change
        and resource.access.change is not Who.ADMIN
        and Role.USER not in resource.change
    ):
        yield "only administrators may change its fields: declare access=Access(change=Who.ADMIN)"
    if resource.rate and f"{resource.rate}_rate_address" not in Settings.__struct_fields__:
        yield f"its rate is {resource.rate}, and there is no setting {resource.rate}_rate_address"
    yield from _endless(resource.fields)
    yield from _unstorable(resource.fields)
    yield from _misnamed(resource)
    for field, operators in resource.filters.items():
        yield from _unlisted(resource, field, operators)
    for field in resource.sorts:
        yield from _unlisted(resource, field, ())
        yield from _unsortable(resource, field)


def _mismarked(resource: Resource, one: Field) -> Any:
    sets = sorted(mark.name for mark in one.flags & WHO_SETS)
    if len(sets) > 1:
        yield f"{one.name} is marked {' and '.join(sets)}: only one can be"
    if one.name in ALWAYS or one.name == "id":
        yield f"{one.name} comes by itself: leave it out"
    if one.of(UniqueBy) is not None and _nests(one.kind):
        yield f"{one.name} is an object or a list, and cannot be unique: only texts can"
    if OWNER in one.flags and not values.is_id(one.kind):
        yield f"{one.name} is marked OWNER, and is no Id"
    mark = one.of(Reference)
    if mark is not None and not values.is_id(values.item(one.kind) or one.kind):
        yield f"{one.name} refers to {mark.resource}, and is no Id, nor a list of them"
    clears = mark is not None and mark.on_delete is OnDelete.CLEAR
    if clears and values.item(one.kind) is None and not values.is_optional(one.kind):
        yield f"{one.name} cannot be cleared: declare it `| None = None`"
    made = resource.create is not None and one.name in resource.create.__struct_fields__
    by_itself = OWNER in one.flags or one.of(Attachment) is not None
    by_bodies = resource.access.create is not Who.NOBODY
    if by_bodies and not (made or by_itself) and one.required:
        yield (
            f"{one.name} is set by no body that creates, so a new document would lack it: give it "
            "a default, or declare it `| None = None`"
        )
    if made and resource.attachment is not None and _nests(one.kind):
        yield f"{one.name} cannot be in a form, which has texts only, and files: mark it READ_ONLY"


def _endless(shape: type[msgspec.Struct], around: tuple[Any, ...] = ()) -> Any:
    for field, kind in values.hints(shape).items():
        inner = values.innermost_struct(kind)
        if inner is not None and inner in (*around, shape):
            name = inner.__name__
            yield f"{field} in {shape.__name__} holds {name} within itself: objects must end"
        elif inner is not None:
            yield from _endless(inner, (*around, shape))


def _unstorable(shape: Shape) -> Any:
    for one in fields.declared(shape):
        place = f"{one.name} in {shape.__name__}"
        inner = values.innermost_struct(one.kind)
        if one.of(Attachment) is not None:
            continue
        if inner is not None:
            yield from _unfit(inner, place)
            yield from _unstorable(inner)
        else:
            yield from (
                f"{place} holds {part.__name__}, which is not stored: give it fields of its own, "
                "or take text, numbers, dates, one kind of object, and lists of them"
                for part in _types(one.kind)
                if isinstance(part, type) and issubclass(part, UNSTORABLE)
            )
        if fields.rule(one.kind) is not None and plain(values.innermost(one.kind)) is not str:
            yield f"{place} has a rule, and is no text"


def _unfit(shape: type[msgspec.Struct], place: str) -> Any:
    """An object is read strictly, stored under the names it has, and can always be sent back."""
    name, config = shape.__name__, shape.__struct_config__
    if not config.forbid_unknown_fields:
        yield f"{place}: {name} takes fields that nobody knows: declare it forbid_unknown_fields"
    if config.array_like or config.tag is not None:
        yield f"{place}: {name} is array_like or tagged, and stored as neither: leave that out"
    for field in msgspec.structs.fields(shape):
        found = [
            one for one in fields.marks(field.type) if isinstance(one, Mark | Reference | UniqueBy)
        ]
        if found:
            yield f"{place}: {field.name} in {name} is marked: only a document's own fields can be"
        if field.name != field.encode_name:
            yield f"{place}: {name} renames {field.name}: objects are stored under their own names"
        if msgspec.UnsetType in _types(field.type):
            yield (
                f"{place}: {field.name} in {name} may be unset, which is shown as null: declare "
                "it `| None = None`. What a PATCH leaves out is no concern of a declaration"
            )


def _nests(kind: Any) -> bool:
    """Whether it is an object or a list."""
    return values.struct(kind) is not None or values.item(kind) is not None


def _misnamed(resource: Resource) -> Any:
    known = {"_id", *resource.kinds}
    roles = {
        "in the shard key": resource.shard_key,
        "what a constraint names": [name for one in resource.constraints for name in one.fields],
    }
    for name, place in resource.folded.items():
        if place in known:
            yield f"{place} holds the search key of {name}: give that field another name"
    for role, names in roles.items():
        for name in names:
            if "." in name:
                yield f"{name} is within an object, and cannot be {role}: only whole fields can"
            elif name not in known:
                yield f"{name} is no field of {resource.fields.__name__}, and cannot be {role}"


def _types(kind: Any) -> Iterator[Any]:
    """All types that a type is made of."""
    origin, parts = get_origin(kind), get_args(kind)
    yield origin or kind
    for part in parts[:1] if origin is Annotated else parts:
        yield from _types(part)


def _unlisted(resource: Resource, field: str, operators: tuple[str, ...]) -> Any:
    """Why lists cannot be filtered by these operators, or with none, sorted."""
    found, shape = values.leaf(resource.read, field), resource.read.__name__
    if found is None:
        yield f"{field} is no field of {shape}: lists filter and sort by these"
    elif values.innermost_struct(found.kind) is not None:
        yield f"{field} is an object in {shape}: lists filter and sort by a field in it"
    elif found.listed and not (operators and IN_LISTS.issuperset(operators)):
        yield f"{field} is a list in {shape}, or in one: lists filter it by eq and in, and no sort"


def _unsortable(resource: Resource, field: str) -> Any:
    """A page begins behind a value; a document without it would be in no page (store/pages.py)."""
    found = values.leaf(resource.read, field)
    if found is not None and found.optional:
        yield f"{field} may be null in {resource.read.__name__}, so lists cannot be sorted by it"

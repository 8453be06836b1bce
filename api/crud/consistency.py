"""Whether a declaration can work. Refused at import: the sentence says what to change."""

import datetime
import decimal
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import msgspec

from api.crud import values
from api.errors import ApiError
from api.web.expected import plain

if TYPE_CHECKING:
    from api.crud.declaration import Resource

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
    bodies = [*([] if resource.create is None else [resource.create]), *resource.change.values()]
    for shape in (*bodies, resource.read):
        yield from _endless(shape)
    for shape in bodies:
        yield from _unstorable(shape)
        yield from _shown_otherwise(resource, shape, kinds)
    yield from _misnamed(resource, [*bodies, resource.read])
    for field, operators in resource.filters.items():
        yield from _unlisted(resource, field, operators)
    for field in resource.sorts:
        yield from _unlisted(resource, field, ())
        yield from _unsortable(resource, field)


def _endless(shape: type[msgspec.Struct], around: tuple[Any, ...] = ()) -> Any:
    for field, kind in values.hints(shape).items():
        inner = _object(kind)
        if inner is not None and inner in (*around, shape):
            name = inner.__name__
            yield f"{field} in {shape.__name__} holds {name} within itself: objects must end"
        elif inner is not None:
            yield from _endless(inner, (*around, shape))


def _unstorable(shape: type[msgspec.Struct]) -> Any:
    for field, kind in values.hints(shape).items():
        place = f"{field} in {shape.__name__}"
        inner = _object(kind)
        if inner is not None:
            yield from _unfit(inner, place)
            yield from _unstorable(inner)
        else:
            yield from (
                f"{place} holds {part.__name__}, which is not stored: give it fields of its own, "
                "or take text, numbers, dates, one kind of object, and lists of them"
                for part in _types(kind)
                if isinstance(part, type) and issubclass(part, UNSTORABLE)
            )


def _object(kind: Any) -> type[msgspec.Struct] | None:
    """The struct of an object, or of those in a list."""
    return values.struct(_innermost(kind))


def _innermost(kind: Any) -> Any:
    """The type itself, or that of the items of a list."""
    while (inner := values.item(kind)) is not None:
        kind = inner
    return kind


def _unfit(shape: type[msgspec.Struct], place: str) -> Any:
    """An object is read strictly, stored under the names it has, and can always be sent back."""
    name, config = shape.__name__, shape.__struct_config__
    if not config.forbid_unknown_fields:
        yield f"{place}: {name} takes fields that nobody knows: declare it forbid_unknown_fields"
    if config.array_like or config.tag is not None:
        yield f"{place}: {name} is array_like or tagged, and stored as neither: leave that out"
    for field in msgspec.structs.fields(shape):
        if field.name != field.encode_name:
            yield f"{place}: {name} renames {field.name}: objects are stored under their own names"
        if msgspec.UnsetType in _types(field.type):
            yield (
                f"{place}: {field.name} in {name} may be unset, which is shown as null: declare "
                "it `| None = None`. What a PATCH leaves out is no concern of a declaration"
            )


def _shown_otherwise(
    resource: "Resource", shape: type[msgspec.Struct], shown: dict[str, Any]
) -> Any:
    """What was shown could not be sent back."""
    for field, kind in values.hints(shape).items():
        if field in shown and _outline(kind) != _outline(shown[field]):
            yield (
                f"{field} has not the same form in {shape.__name__} and {resource.read.__name__}: "
                "objects have the same fields, lists are lists, and ids, dates and enums are these"
            )
        in_form = resource.attachment is not None and shape is resource.create
        if in_form and isinstance(_outline(kind), list | dict):
            yield f"{field} cannot be in a form, which has texts only, and files: leave it out"


def _outline(kind: Any) -> Any:
    """The form in which a value is stored: names of fields, what is a list, and conversions."""
    inner, shape = values.item(kind), values.struct(kind)
    if inner is not None:
        return [_outline(inner)]
    if shape is not None:
        return {name: _outline(one) for name, one in values.hints(shape).items()}
    return values.single(kind)


def _misnamed(resource: "Resource", shapes: list[type[msgspec.Struct]]) -> Any:
    roles = {
        "unique": [one.field for one in resource.unique],
        "in the shard key": resource.shard_key,
        "the owner or the members": [one for one in (resource.owner, resource.members) if one],
        "guarded": resource.guarded,
        "a state": [one.field for one in resource.transitions],
        "what a constraint names": [name for one in resource.constraints for name in one.fields],
    }
    for role, names in roles.items():
        for name in names:
            if "." in name:
                yield f"{name} is within an object, and cannot be {role}: only whole fields can"
    for one in resource.unique:
        if any(
            isinstance(_outline(values.hints(shape).get(one.field)), list | dict)
            for shape in shapes
        ):
            yield f"{one.field} is an object or a list, and cannot be unique: only texts can"
    for name in resource.rules:
        found = [at for shape in shapes if (at := values.leaf(shape, name)) is not None]
        if not any(plain(_innermost(at.kind)) is str for at in found):
            yield f"there is a rule for {name}, which is no text of any of its bodies"


def _types(kind: Any) -> Iterator[Any]:
    """All types that a type is made of."""
    origin, parts = get_origin(kind), get_args(kind)
    yield origin or kind
    for part in parts[:1] if origin is Annotated else parts:
        yield from _types(part)


def _unlisted(resource: "Resource", field: str, operators: tuple[str, ...]) -> Any:
    """Why lists cannot be filtered by these operators, or with none, sorted."""
    found, shape = values.leaf(resource.read, field), resource.read.__name__
    if found is None:
        yield f"{field} is no field of {shape}: lists filter and sort by these"
    elif _object(found.kind) is not None:
        yield f"{field} is an object in {shape}: lists filter and sort by a field in it"
    elif found.listed and not (operators and IN_LISTS.issuperset(operators)):
        yield f"{field} is a list in {shape}, or in one: lists filter it by eq and in, and no sort"


def _unsortable(resource: "Resource", field: str) -> Any:
    """A page begins behind a value; a document without it would be in no page (store/pages.py)."""
    found = values.leaf(resource.read, field)
    if found is not None and found.optional:
        yield f"{field} may be null in {resource.read.__name__}, so lists cannot be sorted by it"
    if not _always_created(resource, field):
        yield (
            f"lists are sorted by {field}, which a new document may lack: "
            "require it in `create`, or give it in `defaults`"
        )
    for shape in resource.change.values():
        changed = values.leaf(shape, field)
        if changed is not None and changed.optional:
            yield f"{shape.__name__} can set {field} to null, so lists cannot be sorted by it"


def _always_created(resource: "Resource", field: str) -> bool:
    if field in ALWAYS or field == resource.owner or field in resource.defaults():
        return True
    if resource.create is None:  # documents come from code of ours, not from bodies
        return True
    shape: type[msgspec.Struct] | None = resource.create
    for name in field.split("."):
        made = {one.name: one for one in msgspec.structs.fields(shape)} if shape else {}
        if name not in made or not (made[name].required or made[name].default is not None):
            return False
        shape = values.struct(made[name].type)
    return True

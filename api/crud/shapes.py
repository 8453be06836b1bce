"""Structs that follow from a declaration: bodies of PUT and PATCH, items and pages of lists."""

from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, UnsetType, defstruct

from api.crud import values
from api.crud.access import Role

Shape = type[msgspec.Struct]


def replacements(
    create: Shape | None, changes: Mapping[Role, Shape], read: Shape, states: frozenset[str]
) -> dict[Role, Shape]:
    """The struct of a PUT body, for each role; empty where nothing can be created."""
    made: dict[Shape, Shape] = {}
    if create is not None:
        for change in changes.values():
            if change not in made:
                made[change] = replacement(create, change, read, states)
    return {role: made[change] for role, change in changes.items() if change in made}


def replacement(
    create: Shape, change: Shape, read: Shape, states: frozenset[str] = frozenset()
) -> Shape:
    """The body of a PUT by somebody who may change the fields of `change`.

    What `create` requires is required; what may be absent, and is, is removed or gets its default.
    What only a change can set (`disabled`) is required: PUT must not reset it in silence. What is
    never shown (a password) is no part of what PUT replaces, nor are states, which only transitions
    change: they change only where they are given.
    """
    made = {field.name: field for field in msgspec.structs.fields(create)}
    kinds, shown = values.hints(create), values.hints(read)
    fields: list[tuple[str, Any, Any]] = []
    for name, kind in values.hints(change).items():
        present = values.without_unset(kind)
        if name not in shown or name in states:
            fields.append((name, present | UnsetType, UNSET))
        elif name not in made or made[name].required:
            default = None if name not in made and values.is_optional(present) else NODEFAULT
            fields.append((name, kinds.get(name, present), default))
        else:
            fields.append((name, kinds[name], _default(made[name])))
    return _struct(change.__name__.replace("Change", "Replacement"), fields, closed=True)


def patches(changes: Mapping[Role, Shape]) -> dict[Role, Shape]:
    """The struct of a PATCH body, for each role that may send one."""
    return {role: patch(change) for role, change in changes.items()}


@cache
def patch(change: Shape) -> Shape:
    """The body of a PATCH: `change`, with objects of which any part may be left out (RFC 7396).

    Objects in lists are whole: a list is replaced by another one.
    """
    kinds = values.hints(change)
    fields = [
        (one.name, _patch_type(kinds[one.name]), _default(one))
        for one in msgspec.structs.fields(change)
        if values.struct(kinds[one.name]) is not None
    ]
    if not fields:
        return change
    closed, text = change.__struct_config__.forbid_unknown_fields, {"__doc__": change.__doc__}
    return _struct(change.__name__, fields, closed=closed, bases=(change,), namespace=text)


@cache
def _object_patch(shape: Shape) -> Shape:
    """A part of an object."""
    fields = [(n, _patch_type(kind) | UnsetType, UNSET) for n, kind in values.hints(shape).items()]
    text = {"__doc__": shape.__doc__}
    return _struct(f"{shape.__name__}Patch", fields, closed=True, namespace=text)


def _patch_type(kind: Any) -> Any:
    """The type with the patch of an object in place of the object."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(_patch_type(parts[0]), *parts[1:])]
    if origin in (Union, UnionType):
        return Union[tuple(_patch_type(part) for part in parts)]  # noqa: UP007 - made here
    shape = None if origin is list else values.struct(kind)
    return kind if shape is None else _object_patch(shape)


def partial(read: Shape) -> Shape:
    """What is shown, where the consumer may have chosen fields: only `id` comes always."""
    fields = [
        (name, kind, NODEFAULT) if name == "id" else (name, kind | UnsetType, UNSET)
        for name, kind in values.hints(read).items()
    ]
    return _struct(f"{read.__name__}Item", fields, closed=False)


def page(read: Shape, items: Shape) -> Shape:
    """A page of a list."""
    following = str | None
    fields: list[tuple[str, Any, Any]] = [
        ("items", list[items], NODEFAULT),  # type: ignore[valid-type]
        ("next", following, NODEFAULT),
    ]
    return _struct(f"{read.__name__}Page", fields, closed=False)


def _default(made: msgspec.structs.FieldInfo) -> Any:
    if made.default_factory is NODEFAULT:
        return made.default
    return msgspec.field(default_factory=made.default_factory)


def _struct(name: str, fields: list[tuple[str, Any, Any]], *, closed: bool, **more: Any) -> Shape:
    kept = [
        (field, kind) if default is NODEFAULT else (field, kind, default)
        for field, kind, default in fields
    ]
    return defstruct(name, kept, kw_only=True, forbid_unknown_fields=closed, **more)

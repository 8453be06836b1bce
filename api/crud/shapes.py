"""Structs that follow from a declaration: the bodies of requests, items and pages of lists."""

from collections.abc import Iterable, Mapping
from functools import cache
from inspect import getdoc
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, UnsetType, defstruct

from api.crud import fields, values
from api.crud.access import Role, Who
from api.crud.fields import (
    ADMIN_CHANGES,
    ADMIN_ONLY,
    CREATE_ONLY,
    NEVER_SHOWN,
    OWNER,
    READ_ONLY,
    Field,
    Id,
    Shape,
    Time,
    taken,
)

OWNS = Meta(description="Administrators may name another user; for good")
REMOVES = "Null removes what may be absent."

Parts = list[tuple[str, Any, Any]]  # of a struct: names, types, defaults


def creation(declared: Shape, own: Iterable[Field], note: str) -> Shape | None:
    """The body that creates a document; None where no body sets anything."""
    parts: Parts = []
    for one in own:
        if not {READ_ONLY, ADMIN_ONLY}.isdisjoint(one.flags):
            continue
        if OWNER in one.flags:
            parts.append((one.name, Annotated[taken(one.kind), OWNS] | None, None))
        else:
            parts.append((one.name, taken(one.kind), _default(one)))
    if not parts:
        return None
    text = _sentences(f"Body that creates {_noun(declared)}.", note)
    return _struct(f"New{declared.__name__}", parts, closed=True, namespace={"__doc__": text})


def changes(declared: Shape, own: Iterable[Field], who: Who, note: str) -> dict[Role, Shape]:
    """The body that changes a document, by the role of who sends it.

    Administrators have one of their own where they may change more than others.
    """
    fixed = {READ_ONLY, CREATE_ONLY, OWNER}
    open_to_admins = [one for one in own if fixed.isdisjoint(one.flags)]
    more = {ADMIN_ONLY, ADMIN_CHANGES}
    open_to_all = [one for one in open_to_admins if more.isdisjoint(one.flags)]
    name, noun = declared.__name__, _noun(declared)
    if who is Who.NOBODY or not open_to_admins:
        return {}
    if who is Who.ADMIN:
        return {Role.ADMIN: _change(f"{name}Change", f"that changes {noun}", note, open_to_admins)}
    usual = _change(f"{name}Change", f"that changes {noun}", note, open_to_all)
    if len(open_to_admins) == len(open_to_all):
        return {Role.USER: usual, Role.ADMIN: usual}
    by = f"by which administrators change {noun}"
    return {
        **({Role.USER: usual} if open_to_all else {}),
        Role.ADMIN: _change(f"{name}ChangeByAdmin", by, "", open_to_admins),
    }


def _change(name: str, what: str, note: str, own: list[Field]) -> Shape:
    parts: Parts = []
    for one in own:
        # What nobody sees, nobody removes.
        kind = taken(one.kind)
        kind = _without_null(kind) if NEVER_SHOWN in one.flags else kind
        # A body of one field that may be left out would change nothing.
        parts.append((one.name, kind, NODEFAULT) if len(own) == 1 else _unset(one.name, kind))
    nullable = any(values.is_optional(kind) for _, kind, _ in parts)
    text = _sentences(f"Body {what}.{' ' + REMOVES if nullable else ''}", note, "\n\n")
    return _struct(name, parts, closed=True, namespace={"__doc__": text})


def shown(declared: Shape, own: Iterable[Field], changing: bool) -> Shape:
    """What is shown of a document. `changing`: somebody may change it, so its version counts."""
    parts: Parts = [("id", Id, NODEFAULT)]
    parts += [
        (one.name, fields.shown(one.kind), NODEFAULT) for one in own if NEVER_SHOWN not in one.flags
    ]
    parts += [("version", int, NODEFAULT)] if changing else []
    parts.append(("created_at", Time, NODEFAULT))
    parts += [("updated_at", Time, NODEFAULT)] if changing else []
    return _struct(declared.__name__, parts, closed=False, namespace={"__doc__": getdoc(declared)})


def requiring(shape: Shape, field: str, name: str, text: str) -> Shape:
    """A body like this one, under another name, that cannot go without a field."""
    kind = _without_null(values.hints(shape)[field])
    parts = [(field, kind, NODEFAULT)]
    return _struct(name, parts, closed=True, bases=(shape,), namespace={"__doc__": text})


def _noun(declared: Shape) -> str:
    """What the struct is, by the first line of its docstring: `a user`."""
    first = (getdoc(declared) or f"A {declared.__name__}.").partition("\n")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def _sentences(first: str, note: str, between: str = " ") -> str:
    return f"{first}{between}{note}" if note else first


def _unset(name: str, kind: Any) -> tuple[str, Any, Any]:
    return (name, kind | UnsetType, UNSET)


def _without_null(kind: Any) -> Any:
    kept = tuple(part for part in get_args(kind) if part is not NoneType)
    return Union[kept] if get_origin(kind) in (Union, UnionType) else kind  # noqa: UP007 - made here


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


def _default(made: msgspec.structs.FieldInfo | Field) -> Any:
    if made.default_factory is NODEFAULT:
        return made.default
    return msgspec.field(default_factory=made.default_factory)


def _struct(name: str, fields: list[tuple[str, Any, Any]], *, closed: bool, **more: Any) -> Shape:
    kept = [
        (field, kind) if default is NODEFAULT else (field, kind, default)
        for field, kind, default in fields
    ]
    return defstruct(name, kept, kw_only=True, forbid_unknown_fields=closed, **more)

"""Structs that follow from a declaration: the bodies of requests, items and pages of lists."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from inspect import getdoc
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, UnsetType, defstruct

from api.crud import values
from api.crud.access import Role, Who
from api.crud.fields import OWNER, Field, Id, Shape, Time, as_shown, taken
from api.crud.rules import States

OWNS = Meta(description="Administrators may name another user; for good")
REMOVES = "Null removes what may be absent."

Parts = list[tuple[str, Any, Any]]  # of a struct: names, types, defaults


def creation(declared: Shape, own: Iterable[Field], note: str) -> Shape | None:
    """The body that creates a document; None where no body sets anything."""
    parts = [_created(one) for one in own if one.created]
    text = _sentences(f"Body that creates {_noun(declared)}.", note)
    return _struct(f"New{declared.__name__}", parts, closed=True, text=text) if parts else None


def changes(declared: Shape, own: Iterable[Field], who: Who, note: str) -> dict[Role, Shape]:
    """The body that changes a document, by the role of who sends it.

    Administrators have one of their own where they may change more than others.
    """
    name, what = f"{declared.__name__}Change", f"changes {_noun(declared)}"
    found = {role: [one for one in own if role in one.changed_by] for role in changing(who)}
    made = {role: _change(name, f"that {what}", note, of) for role, of in found.items() if of}
    if Role.USER in found and found[Role.USER] != found[Role.ADMIN]:
        by = f"by which administrators {what.replace('changes', 'change', 1)}"
        made[Role.ADMIN] = _change(f"{name}ByAdmin", by, "", found[Role.ADMIN])
    elif Role.USER in made:
        made[Role.ADMIN] = made[Role.USER]
    return made


def changing(who: Who) -> tuple[Role, ...]:
    """The roles of those whom a rule for changes admits."""
    if who is Who.NOBODY:
        return ()
    return (Role.ADMIN,) if who is Who.ADMIN else (Role.USER, Role.ADMIN)


def _change(name: str, what: str, note: str, own: list[Field]) -> Shape:
    # A body of one field that may be left out would change nothing.
    parts = [
        (one.name, _changed(one), NODEFAULT) if len(own) == 1 else _unset(one.name, _changed(one))
        for one in own
    ]
    nullable = any(values.is_optional(kind) for _, kind, _ in parts)
    text = _sentences(f"Body {what}.{' ' + REMOVES if nullable else ''}", note, "\n\n")
    return _struct(name, parts, closed=True, text=text)


def replacements(own: Sequence[Field], bodies: Mapping[Role, Shape]) -> dict[Role, Shape]:
    """The body of a PUT, by role, beside those of a PATCH.

    What is required at creation is required; what may be absent, and is, is removed or gets its
    default. What only a change can set (`disabled`) is required: PUT must not reset it in silence.
    What is never shown (a password) is no part of what PUT replaces, nor are states, which only
    transitions change: they change only where they are given.
    """
    made: dict[Shape, Shape] = {}
    for role, change in bodies.items():
        parts = [_replaced(one) for one in own if role in one.changed_by]
        if change not in made and any(one.created for one in own):
            name = change.__name__.replace("Change", "Replacement")
            made[change] = _struct(name, parts, closed=True)
    return {role: made[change] for role, change in bodies.items() if change in made}


def shown(declared: Shape, own: Iterable[Field], changing: bool) -> Shape:
    """What is shown of a document. `changing`: somebody may change it, so its version counts."""
    parts: Parts = [("id", Id, NODEFAULT)]
    parts += [(one.name, as_shown(one.kind), NODEFAULT) for one in own if one.shown]
    parts += [("version", int, NODEFAULT)] if changing else []
    parts.append(("created_at", Time, NODEFAULT))
    parts += [("updated_at", Time, NODEFAULT)] if changing else []
    return _struct(declared.__name__, parts, closed=False, text=getdoc(declared))


def line(own: Iterable[Field], read: Shape) -> Shape:
    """A line of an import: what creates a document; all else that is shown may be left out."""
    kinds = {**values.hints(read), **{one.name: _changed(one) for one in own if one.imported}}
    made = {one.name: _created(one) for one in own if one.created}
    parts = [*made.values(), *(_unset(n, kind) for n, kind in kinds.items() if n not in made)]
    return _struct(f"{read.__name__}Line", parts, closed=True)


def _created(one: Field) -> tuple[str, Any, Any]:
    if OWNER in one.flags:
        return (one.name, Annotated[taken(one.kind), OWNS] | None, None)
    return (one.name, taken(one.kind), _default(one))


def _changed(one: Field) -> Any:
    """Its type in a change: what nobody sees, nobody removes."""
    return taken(one.kind) if one.shown else _without_null(taken(one.kind))


def _replaced(one: Field) -> tuple[str, Any, Any]:
    if not one.shown or one.of(States) is not None:
        return _unset(one.name, _changed(one))
    if one.created:
        return _created(one)
    return (one.name, taken(one.kind), None if values.is_optional(one.kind) else NODEFAULT)


def requiring(shape: Shape | None, field: str, name: str, text: str) -> Shape:
    """A body like this one, under another name, that cannot go without a field."""
    assert shape is not None  # noqa: S101 - what has no bodies has none to change
    kind = _without_null(values.hints(shape)[field])
    return _struct(name, [(field, kind, NODEFAULT)], closed=True, bases=(shape,), text=text)


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


def patches(bodies: Mapping[Role, Shape]) -> dict[Role, Shape]:
    """The struct of a PATCH body, for each role that may send one."""
    return {role: patch(change) for role, change in bodies.items()}


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
    return _struct(change.__name__, fields, closed=True, bases=(change,), text=change.__doc__)


@cache
def _object_patch(shape: Shape) -> Shape:
    """A part of an object."""
    fields = [(n, _patch_type(kind) | UnsetType, UNSET) for n, kind in values.hints(shape).items()]
    return _struct(f"{shape.__name__}Patch", fields, closed=True, text=shape.__doc__)


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


def _struct(
    name: str,
    parts: Parts,
    *,
    closed: bool,
    text: str | None = None,
    bases: tuple[Shape, ...] = (),
) -> Shape:
    kept = [part[:2] if part[2] is NODEFAULT else part for part in parts]
    return defstruct(
        name,
        kept,
        bases=bases or None,
        namespace={"__doc__": text} if text else {},
        kw_only=True,
        forbid_unknown_fields=closed,
    )

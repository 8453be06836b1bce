"""Values outside and inside: ids and dates are text in JSON, and something else in the database.

| in a struct             | in JSON        | stored                                        |
|-------------------------|----------------|-----------------------------------------------|
| `Id`, `list[Id]`        | 24 hex digits  | ObjectId, and lists of them                   |
| `datetime.date`         | `2026-01-31`   | the same text: it sorts and compares as dates |
| `Time` (a datetime)     | RFC 3339       | a date in milliseconds                        |
| an `Enum` of texts      | its value      | its value                                     |
| a `Struct`, and lists   | an object      | a document within, of all that is not null    |

Merge patches of objects within documents (RFC 7396): what a PATCH leaves out of them stays. An
object that is not there yet is made of the patch alone, so the patch must then hold all that the
object requires. Objects in lists are not merged: a list is replaced by another one.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from bson import ObjectId
from bson.errors import InvalidId
from werkzeug.routing import BaseConverter

from api.crud.fields import ID
from api.crud.rules import conflict
from api.store import Document
from api.web import body as bodies
from api.web.expected import REQUIRED, Fault, Place, moment, plain
from api.web.problems import at

Stored = Callable[[Any], Any]

PREFIX_END = "\U0010ffff"  # behind every text that begins with what stands before it


class DocumentId(BaseConverter):
    """The id of a document in an address. Any other word there is another route, or nothing."""

    regex = "[0-9a-fA-F]{24}"


def object_id(text: str) -> ObjectId | None:
    """An id from an address or query; None if it is none."""
    try:
        return ObjectId(text)
    except InvalidId:
        return None


def hints(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The types of a struct's fields, with annotations."""
    return get_type_hints(shape, include_extras=True)


def is_optional(kind: Any) -> bool:
    """Whether null is among the values."""
    inner = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return type(None) in get_args(inner) or inner is type(None)


def without_unset(kind: Any) -> Any:
    """The type of what is given, where a field may be left out."""
    kept = tuple(part for part in get_args(kind) if part is not msgspec.UnsetType)
    return Union[kept] if get_origin(kind) in (Union, UnionType) else kind  # noqa: UP007 - made here


def is_id(kind: Any) -> bool:
    """Whether it is `Id`, with more annotations perhaps, or that or nothing."""
    return ID in getattr(kind, "__metadata__", ()) or any(is_id(part) for part in _parts(kind))


def item(kind: Any) -> Any:
    """Of a list (or a list or nothing) the type of its items, annotations kept; else None."""
    if get_origin(kind) is list:
        return get_args(kind)[0]
    return next((found for part in _parts(kind) if (found := item(part)) is not None), None)


def _parts(kind: Any) -> tuple[Any, ...]:
    origin = get_origin(kind)
    if origin is Annotated:
        return (get_args(kind)[0],)
    return () if origin is list else tuple(get_args(kind))


def struct(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that stands for an object, or for that or nothing; else None."""
    bare = plain(kind)
    return bare if isinstance(bare, type) and issubclass(bare, msgspec.Struct) else None


def innermost_struct(kind: Any) -> type[msgspec.Struct] | None:
    """The struct of an object, or of those in a list."""
    return struct(innermost(kind))


def innermost(kind: Any) -> Any:
    """The type itself, or that of the items of a list."""
    while (inner := item(kind)) is not None:
        kind = inner
    return kind


class Leaf(NamedTuple):
    """A field that a dotted name leads to: `address.city`, `lines.price`."""

    kind: Any
    listed: bool  # it is a list, or in one
    optional: bool  # it may be null, or what it is in


def leaf(shape: type[msgspec.Struct] | None, name: str) -> Leaf | None:
    """The field of this name, whose dots lead into objects and into those of lists."""
    kind, listed, optional = None, False, False
    for part in name.split("."):
        kinds = {} if shape is None else hints(shape)
        if part not in kinds:
            return None
        kind = kinds[part]
        inner = item(kind)
        listed, optional = listed or inner is not None, optional or is_optional(kind)
        shape = struct(kind if inner is None else inner)
    return Leaf(kind, listed, optional)


def top(name: str) -> str:
    """The document's own field that a dotted name leads into."""
    return name.partition(".")[0]


def within(document: Mapping[str, Any], name: str) -> Any:
    """The value that a dotted name leads to; None where there is none."""
    value: Any = document
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def conversions(kinds: Mapping[str, Any]) -> dict[str, Stored]:
    """Of the fields that are stored in another form: what makes it."""
    found = {name: conversion(kind) for name, kind in kinds.items()}
    return {name: convert for name, convert in found.items() if convert is not None}


def conversion(kind: Any) -> Stored | None:
    """What turns a value of this type into its stored form; None: it is stored as it is."""
    inner, shape = item(kind), struct(kind)
    if inner is not None:
        return _each(conversion(inner))
    if shape is None:
        return single(kind)
    by = conversions(hints(shape))
    return lambda given: {n: v for n, v in stored(given, by).items() if v is not None}


def single(kind: Any) -> Stored | None:
    """What turns a value that is neither an object nor a list into its stored form, or None."""
    if is_id(kind):
        return ObjectId
    bare = plain(kind)
    if bare is datetime.date:
        return datetime.date.isoformat
    if bare is datetime.datetime:
        return moment
    if isinstance(bare, type) and issubclass(bare, Enum):
        return _value
    return None


def _value(member: Any) -> Any:
    return getattr(member, "value", member)


def stored(fields: Mapping[str, Any], by: Mapping[str, Stored]) -> dict[str, Any]:
    """Fields of a body as they are stored."""
    return {
        name: by[name](value) if name in by and value is not None else value
        for name, value in fields.items()
    }


def showing(kind: Any) -> Stored | None:
    """The function that turns a stored value of this type into its shown form.

    None: the value is shown as it is stored.
    """
    if is_id(kind):
        return str
    inner = item(kind)
    if inner is not None:
        return _each(showing(inner))
    shape = struct(kind)
    if shape is None:
        return None
    kinds = hints(shape)
    by = shown_by(kinds)
    return lambda held: stored({name: held.get(name) for name in kinds}, by)


def shown_by(kinds: Mapping[str, Any]) -> dict[str, Stored]:
    """By field, what turns a stored value into its shown form; only where the two differ."""
    found = {name: showing(kind) for name, kind in kinds.items()}
    return {name: show for name, show in found.items() if show is not None}


def _each(convert: Stored | None) -> Stored | None:
    """A conversion of one value, for all items of a list."""
    if convert is None:
        return None
    return lambda values: [None if value is None else convert(value) for value in values]


def objects(kinds: Mapping[str, Any], given: Mapping[str, Any]) -> Document:
    """The fields of a PATCH that are patches of objects."""
    return {
        name: value
        for name, value in given.items()
        if value is not None and struct(kinds[name]) is not None
    }


def names(given: Mapping[str, Any], patches: Mapping[str, Any]) -> Iterator[str]:
    """The names of the fields that a PATCH touches, with dots into objects."""
    for name, value in given.items():
        if name in patches and value:
            inner = {n: v for n, v in value.items() if isinstance(v, dict)}
            yield from (f"{name}.{one}" for one in names(value, inner))
        else:
            yield name


def merged(kinds: Mapping[str, Any], patches: Mapping[str, Any], document: Document) -> Document:
    """The objects with the patches applied, in the form in which they are stored.

    Raises 409 naming what a new object lacks.
    """
    found: list[Fault] = []
    made = {
        name: _merge(kinds[name], patch, document.get(name), (name,), found)
        for name, patch in patches.items()
    }
    if found:
        raise conflict(*(at(place, detail) for place, detail in found))
    return made


def _merge(kind: Any, patch: Any, held: Any, place: Place, found: list[Fault]) -> Any:
    """The stored form of a value; `found` gets what is missing of new objects."""
    shape = struct(kind)
    if shape is None:
        convert = conversion(kind)
        return patch if convert is None else convert(patch)
    kinds, made = hints(shape), {}
    if isinstance(held, dict):
        made, given = dict(held), patch
    else:
        given = {**_defaults(shape, patch, place, found), **patch}
    for name, value in given.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = _merge(kinds[name], value, made.get(name), (*place, name), found)
    return made


def _defaults(
    shape: type[msgspec.Struct], patch: Document, place: Place, found: list[Fault]
) -> Document:
    """What a new object gets where the patch says nothing."""
    made: Document = {}
    for field in msgspec.structs.fields(shape):
        if field.name in patch:
            continue
        if field.required:
            if not is_optional(field.type):
                found.append(((*place, field.name), REQUIRED))
        elif field.default is not msgspec.NODEFAULT:
            made[field.name] = bodies.plain(field.default)
        else:
            made[field.name] = bodies.plain(field.default_factory())
    return made

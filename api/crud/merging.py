"""Merge patches of objects within documents (RFC 7396): what a PATCH leaves out of them stays.

An object that is not there yet is made of the patch alone, so the patch must then hold all that
the object requires. Objects in lists are not merged: a list is replaced by another one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from api.crud import values
from api.crud.constraints import conflict
from api.crud.declaration import Resource
from api.store import Document
from api.web import body as bodies
from api.web.expected import REQUIRED, Fault, Place
from api.web.problems import at


def objects(resource: Resource, given: Mapping[str, Any]) -> Document:
    """The fields of a PATCH that are patches of objects."""
    return {
        name: value
        for name, value in given.items()
        if value is not None and values.struct(resource.kinds[name]) is not None
    }


def names(given: Mapping[str, Any], patches: Mapping[str, Any]) -> Iterator[str]:
    """The names of the fields that a PATCH touches, with dots into objects."""
    for name, value in given.items():
        if name in patches and value:
            inner = {n: v for n, v in value.items() if isinstance(v, dict)}
            yield from (f"{name}.{one}" for one in names(value, inner))
        else:
            yield name


def merged(resource: Resource, patches: Mapping[str, Any], document: Document) -> Document:
    """The objects with the patches applied, in the form in which they are stored.

    Raises 409 naming what a new object lacks.
    """
    found: list[Fault] = []
    made = {
        name: _merge(resource.kinds[name], patch, document.get(name), (name,), found)
        for name, patch in patches.items()
    }
    if found:
        raise conflict(*(at(place, detail) for place, detail in found))
    return resource.prepare(made)


def _merge(kind: Any, patch: Any, held: Any, place: Place, found: list[Fault]) -> Any:
    """The stored form of a value; `found` gets what is missing of new objects."""
    shape = values.struct(kind)
    if shape is None:
        convert = values.conversion(kind)
        return patch if convert is None else convert(patch)
    kinds, made = values.hints(shape), {}
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
            if not values.is_optional(field.type):
                found.append(((*place, field.name), REQUIRED))
        elif field.default is not msgspec.NODEFAULT:
            made[field.name] = bodies.plain(field.default)
        else:
            made[field.name] = bodies.plain(field.default_factory())
    return made

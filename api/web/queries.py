"""Query strings, decoded into structs; what does not fit is named parameter by parameter.

A field's name in the query string is the one it is encoded under, so that `name[prefix]` can be
one. Lists are written with commas. Text is taken as the type it stands for, times as RFC 3339 only.
"""

import re
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from flask import request

from api.web.problems import in_query, invalid

S = TypeVar("S", bound=msgspec.Struct)

Literal = Callable[[str], re.Match[str] | None]


class _Parameter(NamedTuple):
    field: str
    type: Any
    many: bool
    required: bool
    literal: Literal | None  # what the text of a number or boolean looks like


# As JSON writes them, and the description says: not `1e3`, `yes` or `1`; and no times as numbers.
DIGITS = 18  # of an integer; all of them fit into the database's
LITERALS: dict[Any, Literal] = {
    int: re.compile(rf"-?[0-9]{{1,{DIGITS}}}").fullmatch,
    float: re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?").fullmatch,
    bool: re.compile(r"true|false").fullmatch,
}

_parameters: dict[type[msgspec.Struct], dict[str, _Parameter]] = {}


def prepare(shape: type[msgspec.Struct]) -> None:
    """Learn the parameters of a struct; `query` takes no other."""
    _parameters[shape] = {
        field.encode_name: _parameter(field.name, field.type, field.required)
        for field in msgspec.structs.fields(shape)
    }


def _parameter(name: str, kind: Any, required: bool) -> _Parameter:
    plain = strip(kind)
    many = get_origin(plain) is list
    item = strip(get_args(plain)[0]) if many else plain
    return _Parameter(name, kind, many, required, LITERALS.get(item))


def strip(kind: Any) -> Any:
    """The type itself, without annotations, None and UNSET."""
    if get_origin(kind) is Annotated:
        return strip(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        left = [k for k in get_args(kind) if k not in (NoneType, msgspec.UnsetType)]
        return strip(left[0]) if len(left) == 1 else kind
    return kind


def query(shape: type[S]) -> S:
    """The query string as a struct. Raises 422 with every parameter that is wrong."""
    known = _parameters[shape]
    found: dict[str, Any] = {}
    errors = [
        in_query(name, "This parameter is required.")
        for name, parameter in known.items()
        if parameter.required and name not in request.args
    ]
    for name, values in request.args.lists():
        parameter = known.get(name)
        if parameter is None:
            errors.append(in_query(name, "This parameter is not known here."))
        elif len(values) > 1:
            errors.append(in_query(name, "Give it once."))
        else:
            try:
                found[parameter.field] = _convert(parameter, values[0])
            except msgspec.ValidationError as error:
                errors.append(in_query(name, f"{str(error).partition(' - at `$')[0]}."))
    if errors:
        raise invalid(*errors)
    return shape(**found)


def _convert(parameter: _Parameter, text: str) -> Any:
    given = text.split(",") if parameter.many else [text]
    literal = parameter.literal
    lax = literal is not None and all(literal(one) for one in given)
    return msgspec.convert(given if parameter.many else text, parameter.type, strict=not lax)

"""Query strings, decoded into structs; what does not fit is named parameter by parameter.

A field's name in the query string is the one it is encoded under, so that `name[prefix]` can be
one. Lists are written with commas. Text is taken as the type it stands for, times as RFC 3339 only.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, get_args, get_origin
from urllib.parse import unquote_to_bytes

import msgspec
from flask import request

from api.web import expected
from api.web.problems import FieldError, ProblemError, in_query, invalid

S = TypeVar("S", bound=msgspec.Struct)

Literal = Callable[[str], re.Match[str] | None]


class _Parameter(NamedTuple):
    field: str
    type: Any
    many: bool
    required: bool
    literal: Literal | None  # what the text of a number or boolean looks like
    wanted: str  # what to give, as a sentence


# As JSON writes them, and the description says: not `1e3`, `yes` or `1`; and no times as numbers.
DIGITS = 18  # of an integer; all of them fit into the database's
LITERALS: dict[Any, Literal] = {
    int: re.compile(rf"-?[0-9]{{1,{DIGITS}}}").fullmatch,
    float: re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?").fullmatch,
    bool: re.compile(r"true|false").fullmatch,
}
NOT_TEXT = "This is not UTF-8, or has the character U+0000, which no value can have."

_parameters: dict[type[msgspec.Struct], dict[str, _Parameter]] = {}


def prepare(shape: type[msgspec.Struct]) -> None:
    """Learn the parameters of a struct; `query` takes no other."""
    _parameters[shape] = {
        field.encode_name: _parameter(field.name, field.type, field.required)
        for field in msgspec.structs.fields(shape)
    }


def _parameter(name: str, kind: Any, required: bool) -> _Parameter:
    plain = expected.plain(kind)
    many = get_origin(plain) is list
    item = expected.plain(get_args(plain)[0]) if many else plain
    wanted = expected.sentence(kind, separated=True)
    return _Parameter(name, kind, many, required, LITERALS.get(item), wanted)


def query(shape: type[S]) -> S:
    """The query string as a struct. Raises 422 with every parameter that is wrong; 400 naming
    those that are no text at all.
    """
    known = _parameters[shape]
    found: dict[str, Any] = {}
    given: dict[str, list[str]] = {}
    for name, value in _pairs(request.query_string):
        given.setdefault(name, []).append(value)
    errors = [
        in_query(name, "This parameter is required.")
        for name, parameter in known.items()
        if parameter.required and name not in given
    ]
    for name, values in given.items():
        parameter = known.get(name)
        if parameter is None:
            errors.append(in_query(name, "This parameter is not known here."))
        elif len(values) > 1:
            errors.append(in_query(name, "Give it once."))
        else:
            try:
                found[parameter.field] = _convert(parameter, values[0])
            except msgspec.ValidationError:
                errors.append(in_query(name, parameter.wanted))
    if errors:
        raise invalid(*errors)
    return shape(**found)


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    """Names and values (application/x-www-form-urlencoded). Raises 400 for what is no text."""
    found, errors = [], []
    for part in raw.split(b"&"):
        if part:
            name, _, value = (_plain(one) for one in part.partition(b"="))
            try:
                found.append((name.decode(), value.decode()))
            except UnicodeDecodeError:
                errors.append(_no_text(name))
                continue
            if b"\0" in name or b"\0" in value:
                errors.append(_no_text(name))
    if errors:
        detail = "Some parameters are not text."
        raise ProblemError(400, detail, kind="malformed", errors=tuple(errors))
    return found


def _plain(part: bytes) -> bytes:
    return unquote_to_bytes(part.replace(b"+", b" "))


def _no_text(name: bytes) -> FieldError:
    return in_query(name.decode(errors="replace"), NOT_TEXT)


def _convert(parameter: _Parameter, text: str) -> Any:
    given = text.split(",") if parameter.many else [text]
    literal = parameter.literal
    lax = literal is not None and all(literal(one) for one in given)
    return msgspec.convert(given if parameter.many else text, parameter.type, strict=not lax)

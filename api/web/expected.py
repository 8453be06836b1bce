"""What a type admits, in words for people: one table for bodies, forms and query strings.

`faults` finds all that is wrong with a value, each with its place, so that nobody has to send a
request once per mistake. msgspec says what is wrong first, and says it to programmers.
"""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from api.web.languages import Sentence, say

Place = tuple[str | int, ...]  # names of fields and indexes in lists, from the outside in
Fault = tuple[Place, str]

UNKNOWN = "This field is not known here."
REQUIRED = "This field is required."
REPEATED = "Give this field once."

WORDS = {
    str: say("a text"),
    int: say("a whole number"),
    float: say("a number"),
    bool: say("true or false"),
    date: say("a date such as 2026-01-31"),
    datetime: say("a time such as 2026-01-31T12:00:00Z"),
    list: say("a list"),
    dict: say("an object"),
}
ANOTHER = say("a value of another kind")
UNITS = {str: say("characters"), list: say("items"), dict: say("fields")}
INTEGERS = range(-(2**63), 2**63)  # those of the database


def plain(kind: Any) -> Any:
    """The type itself, without annotations, None and UNSET."""
    if get_origin(kind) is Annotated:
        return plain(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        left = [one for one in get_args(kind) if one not in (NoneType, msgspec.UnsetType)]
        return plain(left[0]) if len(left) == 1 else kind
    return kind


def sentence(kind: Any, value: Any = None, *, separated: bool = False) -> Sentence:
    """What to give for this type, instead of a value. `separated`: in a query string, lists have
    commas.
    """
    what, code = _words(kind, separated), _code(kind, value)
    if NoneType in _branches(kind) and not separated:
        return say("Give {what} or null.", what=what, code=code)
    return say("Give {what}.", what=what, code=code)


def _code(kind: Any, value: Any) -> str:
    """How the value differs from the type."""
    metas, bare = _metas(kind), plain(kind)
    whole = get_origin(bare) or bare
    if whole is Literal or (isinstance(whole, type) and issubclass(whole, Enum)):
        return "choice"
    if any(one.pattern for one in metas):
        return "pattern"
    if whole in (int, float) and isinstance(value, (whole, int)) and not isinstance(value, bool):
        return "out_of_range"
    if whole not in UNITS or not isinstance(value, whole):
        return "type"
    least, most = _limits(metas)
    if most is not None and len(value) > most:
        return "too_long"
    return "too_short" if least is not None and len(value) < least else "type"


def _branches(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Annotated:
        return _branches(get_args(kind)[0])
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _words(kind: Any, separated: bool) -> Sentence:
    meta, bare = _metas(kind), plain(kind)
    whole = get_origin(bare) or bare
    if whole is Literal:
        return _choice(get_args(bare))
    if isinstance(whole, type) and issubclass(whole, Enum):
        return _choice([one.value for one in whole])
    described = [one.description for one in meta if one.pattern and one.description]
    if described:
        return say(described[0][0].lower() + described[0][1:])
    if whole is list and separated:
        return _separated(meta, _each(bare))
    if isinstance(whole, type) and issubclass(whole, msgspec.Struct):
        return WORDS[dict]
    return _bounded(WORDS.get(whole, ANOTHER), meta, UNITS.get(whole))


def _separated(metas: list[Meta], each: Sentence) -> Sentence:
    most = next((one.max_length for one in metas if one.max_length), None)
    if most is None:
        return say("one or more values separated by commas, each {each}", each=each)
    return say("at most {most} values separated by commas, each {each}", most=most, each=each)


def _each(kind: Any) -> Sentence:
    return _words((get_args(kind) or (Any,))[0], separated=False)


def _choice(values: Any) -> Sentence:
    return say("one of: {values}", values=", ".join(str(value) for value in values))


def _metas(kind: Any) -> list[Meta]:
    """The annotations of a type, also of the one that is left beside None and UNSET."""
    if get_origin(kind) is Annotated:
        inner, *metas = get_args(kind)
        return [*(one for one in metas if isinstance(one, Meta)), *_metas(inner)]
    return [meta for one in _branches(kind) if one is not kind for meta in _metas(one)]


def _limits(metas: list[Meta]) -> tuple[Any, Any]:
    """The least and the most that a type admits; None: there is no such bound."""
    least = next((n for one in metas for n in (one.min_length, one.ge) if n is not None), None)
    most = next((n for one in metas for n in (one.max_length, one.le) if n is not None), None)
    return least, most


def _bounded(what: Sentence, metas: list[Meta], unit: Sentence | None) -> Sentence:
    """The words for a type with its bounds: of numbers, or with the unit of its length."""
    least, most = _limits(metas)
    if least is None and most is None:
        return what
    values = {"what": what, "least": least, "most": most}
    if unit is not None:
        values["most"] = say("{most} {unit}", most=least if most is None else most, unit=unit)
    if most is None:
        values["least"] = values["most"] if unit is not None else least
        return say("{what} of at least {least}", **values)
    if not least or least == 1:
        return say("{what} of at most {most}", **values)
    return say("{what} of {least} to {most}", **values)


def faults(kind: Any, value: Any, place: Place = ()) -> Iterator[Fault]:
    """All that is wrong with a value as JSON has it, for a type."""
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError):  # half of a surrogate pair is no name
        inside = [] if _is_too_long(kind, value) else list(_inside(plain(kind), value, place))
        yield from inside or [(place, sentence(kind, value))]
    else:
        yield from unstorable(value, place)


def _is_too_long(kind: Any, value: Any) -> bool:
    """A list that is: what is wrong with each of its items is then nobody's concern."""
    most = next((one.max_length for one in _metas(kind) if one.max_length is not None), None)
    return isinstance(value, list) and most is not None and len(value) > most


def _inside(kind: Any, value: Any, place: Place) -> Iterator[Fault]:
    """What is wrong with the parts of a value whose own kind is right."""
    whole, of = get_origin(kind) or kind, get_args(kind)
    if whole is list and isinstance(value, list) and of:
        for index, one in enumerate(value):
            yield from faults(of[0], one, (*place, index))
    elif whole is dict and isinstance(value, dict) and of:
        for name, one in value.items():
            yield from faults(of[1], one, (*place, name))
    elif isinstance(whole, type) and issubclass(whole, msgspec.Struct) and isinstance(value, dict):
        yield from outline(whole, value, place)
        for name, field in known(whole).items():
            if name in value:
                yield from faults(field.type, value[name], (*place, name))


def known(shape: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """The fields of a struct by their names outside."""
    return {field.encode_name: field for field in msgspec.structs.fields(shape)}


def outline(
    shape: type[msgspec.Struct], given: dict[str, Any], place: Place = ()
) -> Iterator[Fault]:
    """Which names are too many, and which are missing."""
    fields = known(shape)
    if shape.__struct_config__.forbid_unknown_fields:
        yield from (((*place, name), UNKNOWN) for name in given if name not in fields)
    for name, field in fields.items():
        if field.required and name not in given:
            yield (*place, name), REQUIRED


def unstorable(value: Any, place: Place = ()) -> Iterator[Fault]:
    """What of a decoded value the database cannot hold, or not so that it is found again."""
    if isinstance(value, str):
        if "\0" in value:
            yield place, "Remove the character U+0000, which no text can have here."
        elif not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
            yield place, "Write whole characters: this has half of a surrogate pair (\\ud800)."
    elif isinstance(value, int):
        if value not in INTEGERS:
            yield (
                place,
                say(
                    "Give a whole number from {least} to {most}.",
                    least=INTEGERS[0],
                    most=INTEGERS[-1],
                ),
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield place, "Give a number that is not infinite."
    elif isinstance(value, datetime):
        try:
            moment(value)
        except ValueError as error:
            yield place, str(error)
    else:
        for name, one in _parts(value):
            yield from unstorable(name, place)
            yield from unstorable(one, (*place, name))


def _parts(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, msgspec.Struct):
        yield from ((name, getattr(value, name)) for name in value.__struct_fields__)
    elif isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from enumerate(value)


def moment(value: datetime) -> datetime:
    """A time as it is stored: UTC, milliseconds. Raises ValueError for what is out of range."""
    try:
        there = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("Give a time within the years 1 to 9999, in UTC.") from None
    return there.replace(microsecond=there.microsecond // 1000 * 1000)

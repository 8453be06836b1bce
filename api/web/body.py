"""Bodies, read piece by piece or decoded into structs; what does not fit is named by its field."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, TypeVar, get_args

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from api.web import expected, queries
from api.web.expected import Fault, Place
from api.web.languages import say
from api.web.problems import FieldError, ProblemError, at, invalid

PIECE = 64 * 1024

STREAM = "shardstack.stream"  # the WSGI environment's: a body that the server bounds while it comes


def pieces() -> Iterator[bytes]:
    """The request's body. Raises ProblemError: 400 when it ends before its Content-Length, 413.

    How long it may take is the server's business (api/serving): its stream raises 408.
    """
    announced, seen = request.content_length, 0
    try:
        stream = request.environ.get(STREAM) or request.stream
        while piece := stream.read(PIECE):
            seen += len(piece)
            yield piece
    except ClientDisconnected:
        raise incomplete() from None
    except RequestEntityTooLarge:
        raise too_large() from None
    if seen < (announced or 0):
        raise incomplete()


def incomplete() -> ProblemError:
    """400: RFC 9112 8, an incomplete message is never acted on."""
    return ProblemError(400, "The body ended before it was complete.", kind="malformed")


def too_large() -> ProblemError:
    """413."""
    return ProblemError(413, "The body is larger than this server takes.")


def too_slow() -> ProblemError:
    """408."""
    return ProblemError(408, "The body did not arrive in time.", kind="slow")


S = TypeVar("S", bound=msgspec.Struct)

Rules = Mapping[str, Callable[[str], str]]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396


class _Prepared(NamedTuple):
    decoder: msgspec.json.Decoder[Any]
    names: frozenset[bytes]  # as they stand in JSON, those of inner structs too
    open: bool  # it takes objects with names of the consumer's choice


_prepared: dict[type[msgspec.Struct], _Prepared] = {}


def prepare(*shapes: type[msgspec.Struct]) -> None:
    """Make the decoders of these shapes; `read` and `query` take no other.

    msgspec completes a struct when it is first decoded. When several threads do that together, one
    of them meets it half made and the process dies of SIGSEGV (seen with 0.22.0); so it is done
    here, before there are threads.
    """
    for shape in shapes:
        kinds = list(_kinds(shape))
        structs = [k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)]
        names = {f'"{name}"'.encode() for one in structs for name in expected.known(one)}
        decoder = msgspec.json.Decoder(shape)
        _prepared[shape] = _Prepared(decoder, frozenset(names), dict in kinds)
        queries.prepare(shape)


def _kinds(kind: Any) -> Iterator[Any]:
    """A type, and all that it is made of."""
    yield kind
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield from _kinds(field.type)
    for part in (getattr(kind, "__origin__", None), *get_args(kind)):
        if isinstance(part, type) or get_args(part):
            yield from _kinds(part)


def limit(app: Flask, size: int) -> None:
    """Refuse bodies above `size` bytes with 413."""
    app.config["MAX_CONTENT_LENGTH"] = size
    app.config["MAX_FORM_MEMORY_SIZE"] = size


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as a JSON response."""
    return Response(msgspec.json.encode(value), status, headers, mimetype=JSON)


def tag(version: int) -> str:
    """The entity tag of a document at this version (RFC 9110, 8.8.3): the number in quotes."""
    return f'"{version}"'


def unfit(media: Sequence[str]) -> str:
    """What to say of a body of another media type."""
    if len(media) > 1:
        one, other = media
        return say("Send the body as {one} or {other}.", one=one, other=other)
    return say("Send the body as {media}.", media=media[0])


def refuse_codings() -> None:
    """Raise 415 for a body in a content coding: there is none that we decode."""
    coding = request.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding not in ("", "identity"):
        raise ProblemError(
            415,
            "Send the body as it is, without a Content-Encoding.",
            headers={"Accept-Encoding": "identity"},  # RFC 9110, 15.5.16
        )


def read(shape: type[S], rules: Rules, media: tuple[str, ...] = (JSON,)) -> dict[str, Any]:
    """The request's body as the fields it sets, checked against `shape` and normalised by `rules`.

    Objects come as dicts. `shape` has been given to `prepare`. A rule takes a text of the field
    and returns its normal form, or raises ValueError with a sentence; dots in its name lead
    into objects, and a rule for a list is for each text in it. `media`: the types the body may
    declare.
    Raises ProblemError: 415, 400 for what is not JSON, 422 with every field that is wrong.
    """
    if request.mimetype not in media:
        # A PATCH is told what it could be (RFC 5789, 3.1).
        headers = {"Accept-Patch": ", ".join(media)} if request.method == "PATCH" else {}
        raise ProblemError(415, unfit(media), headers=headers)
    return decode(request.get_data(cache=False), shape, rules)


def check(texts: Mapping[str, str], shape: type[S], rules: Rules) -> dict[str, Any]:
    """The fields of a form, which are all texts, as `read` returns those of a body."""
    return decode(msgspec.json.encode(texts), shape, rules)


def decode(body: bytes, shape: type[S], rules: Rules) -> dict[str, Any]:
    """JSON that came in another way than a body, as `read` returns it. Raises ProblemError: 400,
    422.
    """
    try:
        return _decode(body, shape, rules)
    except RecursionError:
        raise _not_json(say("it is nested too deeply")) from None


def _decode(body: bytes, shape: type[S], rules: Rules) -> dict[str, Any]:
    prepared = _prepared[shape]
    try:
        decoded = prepared.decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        decoded = _closer(body, shape, rules)
    # Of a name that comes twice msgspec takes the last. So where one may: a closer look.
    if (
        prepared.open
        or b"\\u00" in body  # a name may be spelled so
        or any(body.count(name) > 1 for name in prepared.names)
    ) and _repeated(_parse(body)):
        raise _explain(_parse(body), shape, rules)
    normal = _Normal(rules)
    fields: dict[str, Any] = normal.of(decoded)
    if normal.faults:
        raise invalid(*(at(place, detail) for place, detail in normal.faults))
    return fields


def plain(value: Any) -> Any:
    """A value of a struct's field as `read` returns it: objects are dicts."""
    return _Normal({}).of(value)


class _Normal:
    """Brings decoded values into their normal form; `faults`: what breaks a rule, or is not stored.

    `wrong`: places of what is known to be wrong, and passed over.
    """

    def __init__(self, rules: Rules, wrong: Iterable[Place] = ()) -> None:
        self._rules = rules
        self._wrong = frozenset(wrong)
        self.faults: list[Fault] = []

    def of(self, value: Any, place: Place = (), name: str = "") -> Any:
        """The value, its objects as dicts, and its texts as their rules have them.

        `name`: the field's, as rules name it. `lines.note` is the rule for this text in each item
        of `lines`.
        """
        if isinstance(value, msgspec.Struct):
            given = {one: getattr(value, one) for one in value.__struct_fields__}
            return self._object(given, place, name)
        if value is not None and place not in self._wrong:
            if isinstance(value, dict):
                known = (one for one in value if (*place, one) not in self._wrong)
                wrong = (why for one in known for _, why in expected.unstorable(one))
                self.faults += [(place, why) for why in wrong]
                return self._object(value, place, name)
            if isinstance(value, list):
                return [self.of(one, (*place, index), name) for index, one in enumerate(value)]
            rule = self._rules.get(name) if isinstance(value, str) else None
            if rule is not None:
                return self._ruled(rule, value, place)
            self.faults += expected.unstorable(value, place)
        return value

    def _ruled(self, rule: Callable[[str], str], value: str, place: Place) -> str:
        try:
            return rule(value)
        except ValueError as error:
            self.faults.append((place, str(error)))
            return value

    def _object(self, given: Mapping[str, Any], place: Place, name: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for inner, value in given.items():
            here, full = (*place, inner), f"{name}.{inner}" if name else inner
            if value is msgspec.UNSET or here in self._wrong:
                continue
            if value is None:
                made[inner] = None
                continue
            rule = self._rules.get(full) if isinstance(value, str) else None
            if rule is None:
                made[inner] = self.of(value, here, full)
                continue
            try:
                made[inner] = rule(value)
            except ValueError as error:
                self.faults.append((here, str(error)))
                made[inner] = value
        return made


def _closer(body: bytes, shape: type[S], rules: Rules) -> S:
    """A body that the decoder refuses, although it may be right: JSON has numbers, not integers.

    435.0 is one (JSON Schema Validation 2020-12, 6.1.1). Raises ProblemError: 400, 422.
    """
    raw = _parse(body)
    if not _repeated(raw):
        with suppress(msgspec.ValidationError, UnicodeError):  # the latter: half a surrogate pair
            return msgspec.convert(raw, shape)
    raise _explain(raw, shape, rules)


def _explain(raw: Any, shape: type[msgspec.Struct], rules: Rules) -> ProblemError:
    """All that is wrong with a parsed body. The decoder stops at the first error; people fix them
    all.
    """
    if not isinstance(raw, dict):
        return invalid(FieldError("Send a JSON object.", pointer="#"))
    found: list[Fault] = [*_repeated(raw), *expected.outline(shape, raw)]
    for name, field in expected.known(shape).items():
        if name in raw:
            found += expected.faults(field.type, raw[name], (name,))
    normal = _Normal(rules, (place for place, _ in found))
    normal.of(raw)
    errors = [at(place, detail) for place, detail in (*found, *normal.faults)]
    return invalid(*errors) if errors else _not_json(say("it is not as RFC 8259 says"))


class _Object(dict[str, Any]):
    """An object of a body, and the names that it has more than once."""

    repeated: tuple[str, ...] = ()


def _parse(body: bytes) -> Any:
    """A body as Python's own decoder sees it, which lets us look closer. Raises 400."""
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_no_number,
        )
    except UnicodeDecodeError:
        raise _not_json(say("it is not UTF-8")) from None
    except json.JSONDecodeError as error:
        line, column = error.lineno, error.colno
        where = say("look at line {line}, column {column}", line=line, column=column)
        raise _not_json(where) from None
    except ValueError as error:
        raise _not_json(str(error)) from None


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        made.repeated = tuple({n: None for n, _ in pairs if n in seen or seen.add(n)})  # type: ignore[func-returns-value]
    return made


def _integer(text: str) -> int:
    """An integer; what has more digits than any that can be stored is one that cannot."""
    return int(text[:22])


def _number(text: str) -> float:
    """A number with a point or an exponent: an integer where its value is one."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _no_number(name: str) -> NoReturn:
    raise ValueError(say("{name} is no number", name=name))


def _not_json(why: str) -> ProblemError:
    return ProblemError(400, say("The body is not JSON: {why}.", why=why), kind="malformed")


def _repeated(value: Any, place: Place = ()) -> list[Fault]:
    """The names that come more than once, of all objects in a parsed body."""
    found: list[Fault] = []
    if isinstance(value, _Object):
        found += [((*place, name), expected.REPEATED) for name in value.repeated]
        for name, one in value.items():
            found += _repeated(one, (*place, name))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            found += _repeated(one, (*place, index))
    return found

"""Bodies, decoded into structs; what does not fit is named field by field."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from api.web import queries
from api.web.problems import FieldError, ProblemError, in_body, invalid

S = TypeVar("S", bound=msgspec.Struct)

Rules = Mapping[str, Callable[[str], str]]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396

_decoders: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {}


def prepare(*shapes: type[msgspec.Struct]) -> None:
    """Make the decoders of these shapes; `read` and `query` take no other.

    msgspec completes a struct when it is first decoded. When several threads do that at once, one
    of them meets it half made and the process dies of SIGSEGV (seen with 0.22.0); so it is done
    here, before there are threads.
    """
    for shape in shapes:
        _decoders[shape] = msgspec.json.Decoder(shape)
        queries.prepare(shape)


def limit(app: Flask, size: int) -> None:
    """Refuse bodies above `size` bytes with 413."""
    app.config["MAX_CONTENT_LENGTH"] = size
    app.config["MAX_FORM_MEMORY_SIZE"] = size


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`value` as a JSON response."""
    return Response(msgspec.json.encode(value), status, headers, mimetype=JSON)


def read(shape: type[S], rules: Rules, media: tuple[str, ...] = (JSON,)) -> dict[str, Any]:
    """The request's body as the fields it sets, checked against `shape` and normalised by `rules`.

    `shape` has been given to `prepare`. A rule takes a field's text and returns its normal form,
    or raises ValueError with a sentence. `media`: the types the body may declare.
    Raises ProblemError: 415, 400 for what is not JSON, 422 with every field that is wrong.
    """
    if request.mimetype not in media:
        # A PATCH is told what it could be (RFC 5789, 3.1).
        headers = {"Accept-Patch": ", ".join(media)} if request.method == "PATCH" else {}
        raise ProblemError(415, f"Send the body as {' or '.join(media)}.", headers=headers)
    body = request.get_data(cache=False)
    if len(body) >= (request.max_content_length or len(body) + 1) and not request.content_length:
        raise RequestEntityTooLarge  # sent in chunks, of which Werkzeug gives us the first ones
    return decode(body, shape, rules)


def check(texts: Mapping[str, str], shape: type[S], rules: Rules) -> dict[str, Any]:
    """The same for the fields of a form, which are texts all."""
    return decode(msgspec.json.encode(texts), shape, rules)


def decode(body: bytes, shape: type[S], rules: Rules) -> dict[str, Any]:
    """The same for JSON that came in another way. Raises ProblemError: 400 and 422."""
    try:
        decoded = _decoders[shape].decode(body)
    except msgspec.ValidationError:
        raise _explain(body, shape, rules) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ProblemError(400, f"The body is not JSON: {error}.", kind="malformed") from None
    fields = {
        name: value
        for name in shape.__struct_fields__
        if (value := getattr(decoded, name)) is not msgspec.UNSET
    }
    errors = _normalise(fields, rules)
    if errors:
        raise invalid(*errors)
    return fields


def _normalise(fields: dict[str, Any], rules: Rules) -> list[FieldError]:
    errors = []
    for name, value in fields.items():
        rule = rules.get(name)
        if rule is not None and value is not None:
            try:
                fields[name] = rule(value)
            except ValueError as error:
                errors.append(in_body(name, str(error)))
    return errors


def _explain(body: bytes, shape: type[msgspec.Struct], rules: Rules) -> ProblemError:
    """All that is wrong with a body. The decoder stops at the first error; people fix them all."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ProblemError(400, "The body is not JSON.", kind="malformed")
    if not isinstance(raw, dict):
        return invalid(FieldError("Send a JSON object.", pointer="#"))
    known = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    errors = [in_body(name, "This field is not known here.") for name in raw if name not in known]
    good: dict[str, Any] = {}
    for name, field in known.items():
        if name not in raw:
            if field.required:
                errors.append(in_body(name, "This field is required."))
            continue
        try:
            good[name] = msgspec.convert(raw[name], field.type)
        except msgspec.ValidationError as error:
            errors.append(in_body(name, f"{error}."))
    return invalid(*errors, *_normalise(good, rules))

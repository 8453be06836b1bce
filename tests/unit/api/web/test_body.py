"""What a body is taken for, and bodies that a view reads in pieces."""

import io
from typing import Any

import msgspec
import pytest
from flask import Flask, request

from api.web.body import PIECE, decode, pieces, prepare
from api.web.problems import ProblemError


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    pages: int


class Book(msgspec.Struct, forbid_unknown_fields=True):
    pages: int | None = None
    weight: float | None = None
    inner: Inner | None = None
    each: list[int] = []


prepare(Book)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ('{"pages": 435.0}', "pages", 435),
        ('{"pages": 4.35e2}', "pages", 435),
        ('{"pages": -0.0}', "pages", 0),
        ('{"pages": 1.0, "weight": 2.0}', "weight", 2.0),
        ('{"inner": {"pages": 1.0}}', "inner", {"pages": 1}),
        ('{"each": [1.0, 2, 3e0]}', "each", [1, 2, 3]),
    ],
)
def test_an_integer_is_one_however_it_is_written(text: str, field: str, value: Any) -> None:
    """Any number without a fraction: JSON Schema Validation 2020-12, 6.1.1."""
    found = decode(text.encode(), Book, {})[field]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "status", "pointer"),
    [
        ('{"pages": 435.5}', 422, "#/pages"),
        ('{"pages": 1e400}', 422, "#/pages"),
        ('{"pages": 1e30}', 422, "#/pages"),
        ('{"pages": 1.0, "pages": 2}', 422, "#/pages"),
        ('{"pages": 1.0, "page": 1}', 422, "#/page"),
        ('{"pages": 1.0,}', 400, None),
    ],
)
def test_what_is_no_integer_is_refused(text: str, status: int, pointer: str | None) -> None:
    with pytest.raises(ProblemError) as caught:
        decode(text.encode(), Book, {})
    assert caught.value.status == status
    assert [error.pointer for error in caught.value.errors] == ([pointer] if pointer else [])


@pytest.mark.parametrize("size", [0, 1, PIECE, 3 * PIECE + 1])
def test_a_whole_body_is_read(size: int) -> None:
    data = bytes(size)
    with Flask("x").test_request_context("/", method="POST", data=data):
        assert b"".join(pieces()) == data


def test_a_body_that_ends_too_early() -> None:
    with Flask("x").test_request_context("/", method="POST", data=b"abc"):
        request.environ["CONTENT_LENGTH"] = "4"
        request.environ["wsgi.input"] = io.BytesIO(b"abc")
        with pytest.raises(ProblemError) as caught:
            list(pieces())
        assert caught.value.status == 400


def test_a_body_above_the_limit() -> None:
    with Flask("x").test_request_context("/", method="POST", data=b"abcd"):
        request.max_content_length = 3
        with pytest.raises(ProblemError) as caught:
            list(pieces())
        assert caught.value.status == 413

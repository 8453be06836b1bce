"""Bodies that a view reads in pieces."""

import io

import pytest
from flask import Flask, request

from api.web.body import PIECE, pieces
from api.web.problems import ProblemError


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

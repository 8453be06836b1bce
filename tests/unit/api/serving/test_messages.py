"""Heads of requests, held to the rules of gunicorn's parser, which reads them."""

from __future__ import annotations

import pytest
from gunicorn.asgi.parser import PythonProtocol

from api.serving.messages import Parser

OURS, THEIRS = Parser(), PythonProtocol()


@pytest.mark.parametrize("byte", range(256))
def test_names_and_values_may_have_what_the_inherited_parser_lets_pass(byte: int) -> None:
    for text in (bytes([byte]), b"a%cb" % byte, b"ab%c" % byte):
        assert OURS._is_valid_token(text) == THEIRS._is_valid_token(text)
        assert OURS._has_invalid_header_chars(text) == THEIRS._has_invalid_header_chars(text)


def test_an_empty_name_is_none() -> None:
    assert not OURS._is_valid_token(b"")

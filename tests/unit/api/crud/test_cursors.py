"""Cursors: what was encoded comes back, under its own scope and key only."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from api.crud import cursors
from api.settings import Settings

OLD, NEW = (Settings(database_uri="x", jwt_secret=letter * 40) for letter in "on")
ROTATED = msgspec.structs.replace(NEW, jwt_previous_secret=OLD.jwt_secret)
SIGNER = cursors.Signer(NEW, "cursors")
SCOPE = cursors.scope("notes", ("title", 1), {"owner": ObjectId("0" * 24)})

VALUES = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001
        lambda at: at.replace(tzinfo=UTC, microsecond=at.microsecond // 1000 * 1000)
    ),
    st.binary(min_size=12, max_size=12).map(ObjectId),
)
IDS = st.binary(min_size=12, max_size=12).map(ObjectId)


@given(VALUES, IDS)
def test_there_and_back(value: Any, document_id: ObjectId) -> None:
    text = cursors.encode(SIGNER, SCOPE, (value, document_id))
    assert text.isascii()
    assert not set(text) & set("+/=&?#")
    back = cursors.decode(SIGNER, SCOPE, text)
    assert back == (value, document_id)
    assert type(back[0]) is type(value)


@pytest.mark.parametrize(
    "other",
    [
        ("leads", ("title", 1), {"owner": ObjectId("0" * 24)}),
        ("notes", ("title", -1), {"owner": ObjectId("0" * 24)}),
        ("notes", ("text", 1), {"owner": ObjectId("0" * 24)}),
        ("notes", ("title", 1), {"owner": ObjectId("1" * 24)}),
        ("notes", ("title", 1), {}),
    ],
    ids=str,
)
def test_of_another_list(other: tuple[Any, ...]) -> None:
    text = cursors.encode(SIGNER, cursors.scope(*other), ("a", ObjectId()))
    with pytest.raises(ValueError, match="elsewhere"):
        cursors.decode(SIGNER, SCOPE, text)


def test_the_scope_does_not_depend_on_the_order_of_filters() -> None:
    one = cursors.scope("notes", ("title", 1), {"a": 1, "b": {"$gte": 1, "$lt": 2}})
    assert one == cursors.scope("notes", ("title", 1), {"b": {"$lt": 2, "$gte": 1}, "a": 1})


def test_keys_rotate() -> None:
    old = cursors.encode(cursors.Signer(OLD, "cursors"), SCOPE, ("a", ObjectId("0" * 24)))
    assert cursors.decode(cursors.Signer(ROTATED, "cursors"), SCOPE, old)[0] == "a"
    for signer in (SIGNER, cursors.Signer(OLD, "idempotency")):
        with pytest.raises(ValueError, match="elsewhere"):
            cursors.decode(signer, SCOPE, old)
    # What is written while keys rotate is recognised by both.
    both = cursors.Signer(ROTATED, "idempotency").all(b"body")
    assert both[0] == cursors.Signer(NEW, "idempotency").all(b"body")[0]
    assert both[1] == cursors.Signer(OLD, "idempotency").all(b"body")[0]


@given(st.one_of(st.text(), st.text(st.sampled_from("AZaz09-_="), max_size=90)))
def test_anything_else_is_refused(text: str) -> None:
    with suppress(ValueError):
        cursors.decode(SIGNER, SCOPE, text)
        pytest.fail("nobody signed this")

"""Cursors: what was encoded comes back, under its own scope and key only."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from api.crud.lists import behind, cursor, scope_of
from api.settings import Settings
from api.web.signing import Signing

OLD, NEW = (Settings(database_uri="x", jwt_secret=letter * 40) for letter in "on")
ROTATED = msgspec.structs.replace(NEW, jwt_previous_secret=OLD.jwt_secret)
SIGNING = Signing(NEW.signing_secrets, "cursors")
SCOPE = scope_of("notes", ("title", 1), {"owner": ObjectId("0" * 24)})

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
    text = cursor(SIGNING, SCOPE, (value, document_id))
    assert text.isascii()
    assert not set(text) & set("+/=&?#")
    back = behind(SIGNING, SCOPE, text)
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
    text = cursor(SIGNING, scope_of(*other), ("a", ObjectId()))
    with pytest.raises(ValueError, match="elsewhere"):
        behind(SIGNING, SCOPE, text)


def test_the_scope_does_not_depend_on_the_order_of_filters() -> None:
    one = scope_of("notes", ("title", 1), {"a": 1, "b": {"$gte": 1, "$lt": 2}})
    assert one == scope_of("notes", ("title", 1), {"b": {"$lt": 2, "$gte": 1}, "a": 1})


def test_keys_rotate() -> None:
    old = cursor(Signing(OLD.signing_secrets, "cursors"), SCOPE, ("a", ObjectId("0" * 24)))
    assert behind(Signing(ROTATED.signing_secrets, "cursors"), SCOPE, old)[0] == "a"
    for signing in (SIGNING, Signing(OLD.signing_secrets, "idempotency")):
        with pytest.raises(ValueError, match="elsewhere"):
            behind(signing, SCOPE, old)
    # What is written while keys rotate is recognised by both.
    both = Signing(ROTATED.signing_secrets, "idempotency").macs(b"body")
    assert both[0] == Signing(NEW.signing_secrets, "idempotency").macs(b"body")[0]
    assert both[1] == Signing(OLD.signing_secrets, "idempotency").macs(b"body")[0]


@given(st.one_of(st.text(), st.text(st.sampled_from("AZaz09-_="), max_size=90)))
def test_anything_else_is_refused(text: str) -> None:
    with suppress(ValueError):
        behind(SIGNING, SCOPE, text)
        pytest.fail("nobody signed this")

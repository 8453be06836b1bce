"""Hashes and order of shard keys, against values that a mongod computed."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from bson.code import Code
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from cluster.router.keys import UnplaceableError, hashed, point

YEAR_1960 = datetime.datetime(1960, 1, 1, tzinfo=datetime.UTC)
NEW_YEAR = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, 7980500913326740417),
        ({"a": 1}, -8705610352600103477),
        ({"a": {"b": 1.5, "c": [1, {"z": 2}]}}, -7819657821493987359),
        ({"a": None, "b": ""}, 2040319276791448673),
        (
            {"x": Int64(3), "y": datetime.datetime(1960, 1, 1, tzinfo=datetime.UTC)},
            -2674610208479426757,
        ),
    ],
)
def test_hashes_are_the_servers(value: Any, expected: int) -> None:
    """Expected: ``$toHashedIndexKey`` of mongod 6.0.5."""
    assert hashed(value) == expected


def test_numbers_of_equal_value_hash_alike() -> None:
    assert hashed(5) == hashed(Int64(5)) == hashed(5.0) == hashed(5.9)
    assert hashed(float("nan")) == hashed(0)
    assert hashed(1e300) == hashed(2**63 - 1)


@pytest.mark.parametrize("value", [Decimal128("1.5"), Code("x")])
def test_what_the_router_cannot_hash_it_does_not_guess(value: Any) -> None:
    with pytest.raises(UnplaceableError):
        hashed(value)


def test_the_order_of_types_is_the_manuals() -> None:
    ordered = [
        MinKey(),
        None,
        float("nan"),
        float("-inf"),
        -5,
        Decimal128("-1.5"),
        0,
        1.5,
        2**40,
        float("inf"),
        "",
        "a",
        "é",
        {"a": 1},
        {"a": "x"},
        b"x",
        b"abc",
        ObjectId("0" * 24),
        ObjectId("f" * 24),
        False,
        True,
        NEW_YEAR,
        MaxKey(),
    ]
    points = [point(value) for value in ordered]
    assert sorted(points) == points


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)))
def test_numbers_are_ordered_by_value(values: list[Any]) -> None:
    assert sorted(values, key=point) == sorted(values)

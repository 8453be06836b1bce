"""What a query says about the shard key."""

from __future__ import annotations

from typing import Any

import bson
import pytest

from cluster.router.targeting import equalities


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": {"$eq": 1}}, {"a": 1}),
        ({"$and": [{"b": 2}, {"a": 1}]}, {"a": 1}),
        ({"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": None}, {"a": None}),
        ({}, None),
        ({"b": 1}, None),
        ({"a": {"$gt": 1}}, None),
        ({"a": {"$in": [1]}}, None),
        ({"$or": [{"a": 1}, {"a": 2}]}, None),
        ({"a": [1]}, None),
        ({"a": bson.Regex("^x")}, None),
        ({"$and": 5}, None),
        ("nonsense", None),
        (None, None),
    ],
)
def test_equalities(query: Any, expected: dict[str, Any] | None) -> None:
    assert equalities(query, ["a"]) == expected


def test_all_fields_of_a_compound_key_must_be_fixed() -> None:
    assert equalities({"a": 1}, ["a", "b.c"]) is None
    assert equalities({"a": 1, "b.c": 2}, ["a", "b.c"]) == {"a": 1, "b.c": 2}

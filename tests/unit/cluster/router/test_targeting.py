"""What a query says about the shard key."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from cluster.router.catalogue import Collection
from cluster.router.targeting import equalities, shards_of_query


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


KEY = {"owner": 1, "_id": 1}
BOUNDS = [({"owner": MinKey(), "_id": MinKey()}, "a"), ({"owner": 3, "_id": 5}, "b")]
BOUNDS += [({"owner": 7, "_id": MinKey()}, "a"), ({"owner": 9, "_id": MinKey()}, "c")]


def collection() -> Collection:
    """Chunks: up to owner 3 with _id 5 on a, then up to 7 on b, up to 9 on a, the rest on c."""
    entry = {"_id": "db.c", "key": KEY, "timestamp": Timestamp(1, 1), "lastmodEpoch": ObjectId()}
    lows = [low for low, _ in BOUNDS]
    highs = [*lows[1:], {"owner": MaxKey(), "_id": MaxKey()}]
    chunks = [
        {"min": low, "max": high, "shard": shard, "lastmod": Timestamp(1, 1)}
        for (low, shard), high in zip(BOUNDS, highs, strict=True)
    ]
    return Collection(entry, chunks)


@pytest.mark.parametrize(
    ("query", "shards"),
    [
        ({"owner": 1}, "a"),
        ({"owner": 3}, "ab"),
        ({"owner": 3, "_id": 4}, "a"),
        ({"owner": 3, "_id": {"$gt": 4}}, "ab"),
        ({"owner": 5, "x": 1}, "b"),
        ({"owner": 7}, "a"),
        ({"owner": 8.5}, "a"),
        ({"owner": 9}, "c"),
        ({"_id": 4}, "abc"),
        ({}, "abc"),
        ({"$or": [{"owner": 5, "x": 1}, {"owner": 5, "x": {"$gt": 1}}]}, "b"),
        ({"$or": [{"owner": 1}, {"owner": 10}]}, "ac"),
        ({"$or": [{"owner": 1}, {"x": 10}]}, "abc"),
        ({"owner": 5, "$or": [{"x": 1}, {"x": 2}]}, "b"),
        ({"$or": []}, "abc"),
        ({"$or": "nonsense"}, "abc"),
    ],
)
def test_shards_by_the_first_fields_of_the_key(query: Any, shards: str) -> None:
    assert shards_of_query(collection(), query) == set(shards)

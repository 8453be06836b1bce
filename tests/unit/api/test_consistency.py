"""Declarations that cannot work are refused at import, with a sentence."""

from typing import Any

import pytest
from msgspec import UNSET, Struct, UnsetType

from api.crud.access import Role
from api.crud.consistency import DeclarationError
from api.crud.declaration import Resource
from api.store import Unique


class New(Struct):
    name: str
    rank: int = 1
    note: str | None = None
    hint: str | None = None


class Change(Struct):
    name: str | UnsetType = UNSET
    rank: int | UnsetType | None = UNSET


class Shown(Struct):
    id: str
    name: str
    rank: int
    hint: str
    made: str
    note: str | None


def declare(**more: Any) -> Resource:
    parts = {"name": "things", "create": New, "read": Shown, "change": {Role.USER: Change}}
    return Resource(**{**parts, **more})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"unique": (Unique("name"),), "shard_key": {"name": 1, "_id": 1}}, "hashed _id"),
        ({"owner": "boss"}, "boss"),
        ({"filters": {"colour": ("eq",)}}, "colour"),
        ({"sorts": ("colour",)}, "colour"),
        ({"sorts": ("note",)}, "note may be null"),
        ({"sorts": ("hint",)}, "hint, which a new document may lack"),
        ({"sorts": ("made",)}, "made, which a new document may lack"),
        ({"sorts": ("rank",)}, "Change can set rank to null"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        declare(**parts)
    assert "things" in str(caught.value)


def test_admitted() -> None:
    declare(sorts=("name",))
    declare(sorts=("name", "made"), defaults=lambda: {"made": "here"})
    declare(sorts=("hint",), create=None)

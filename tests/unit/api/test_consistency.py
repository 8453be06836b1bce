"""Declarations that cannot work are refused at import, with a sentence."""

from datetime import date, datetime, time
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from api.crud.access import Role
from api.crud.attachments import FileInfo
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


class Nested(Struct):
    name: str
    place: Annotated[FileInfo, Meta(description="x")] | None = None


class NestedChange(Struct):
    places: list[FileInfo] | UnsetType = UNSET


class Times(Struct):
    name: str
    at: time | None = None
    tags: set[str] | None = None


class Stored(Struct):
    name: str
    kind: Literal["a", "b"] = "a"
    days: list[date] | None = None
    at: datetime | None = None
    more: dict[str, int] | None = None


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
        ({"create": Nested}, "place in Nested holds FileInfo, which is not stored"),
        ({"change": {Role.ADMIN: NestedChange}}, "places in NestedChange holds FileInfo"),
        ({"create": Times}, "at in Times holds time"),
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
    declare(create=Stored)

"""Declarations that cannot work are refused at import, with a sentence."""

from datetime import date, datetime, time
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from api.crud.access import Role
from api.crud.resource import (
    EXACT,
    ORDERED,
    TEXT,
    Attachment,
    Constraint,
    DeclarationError,
    FileInfo,
    Resource,
)
from api.crud.rules import Transition
from api.store import Unique
from api.web import text


class New(Struct):
    name: str
    rank: int = 1
    note: str | None = None
    hint: str | None = None


class Change(Struct):
    name: str | UnsetType = UNSET
    rank: int | UnsetType | None = UNSET


class Open(Struct):
    name: str
    place: Annotated[FileInfo, Meta(description="x")] | None = None


class OpenChange(Struct):
    places: list[FileInfo] | UnsetType = UNSET


class Place(Struct, forbid_unknown_fields=True):
    city: str
    code: str | None = None
    points: list[int] = []


class Other(Struct, forbid_unknown_fields=True):
    city: str


class Endless(Struct, forbid_unknown_fields=True):
    inner: list["Endless"] | None = None


class Renamed(Struct, forbid_unknown_fields=True, rename="camel"):
    at_last: str


class Tagged(Struct, forbid_unknown_fields=True, tag=True):
    city: str


class Unset(Struct, forbid_unknown_fields=True):
    city: str | UnsetType = UNSET


def holding(kind: Any) -> type[Struct]:
    """A struct with a field `x` of this type."""
    return defstruct("Body", [("x", kind)])


class Within(Struct):
    id: str
    name: str
    place: Place
    other: Place | None
    places: list[Place]
    tags: list[str]


class NewWithin(Struct):
    name: str
    place: Place
    other: Place | None = None
    places: list[Place] = []
    tags: list[str] = []


class WithinChange(Struct):
    place: Place | UnsetType = UNSET
    other: Place | UnsetType | None = UNSET
    places: list[Place] | UnsetType = UNSET


WITHIN: dict[str, Any] = {
    "create": NewWithin, "read": Within, "change": {Role.USER: WithinChange},
}  # fmt: skip


class Times(Struct):
    name: str
    at: time | None = None
    tags: set[str] | None = None


class Stored(Struct):
    name: str
    kind: Literal["a", "b"] = "a"
    days: list[date] | None = None
    at: datetime | None = None


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
        ({"create": Open}, "place in Open: FileInfo takes fields that nobody knows"),
        ({"change": {Role.ADMIN: OpenChange}}, "places in OpenChange: FileInfo takes fields"),
        ({"create": Times}, "at in Times holds time"),
        ({"create": holding(dict[str, int])}, "x in Body holds dict, which is not stored"),
        ({"create": holding(Place | Tagged)}, "x in Body holds Place, which is not stored"),
        ({"create": holding(Place | str)}, "x in Body holds Place, which is not stored"),
        ({"create": holding(Endless)}, "inner in Endless holds Endless within itself"),
        ({"read": holding(Endless)}, "inner in Endless holds Endless within itself"),
        ({"create": holding(list[Renamed])}, "Renamed renames at_last"),
        ({"create": holding(Tagged)}, "Tagged is array_like or tagged"),
        ({"create": holding(Unset)}, "city in Unset may be unset"),
        ({"create": holding(Other), "read": holding(Place)}, "x has not the same form in Body"),
        ({"create": holding(Place), "read": holding(list[Place])}, "x has not the same form"),
        ({"create": holding(list[str]), "read": holding(str)}, "x has not the same form"),
        ({"create": holding(date), "read": holding(str)}, "x has not the same form"),
        ({"rules": {"nmae": text.line(9)}}, "a rule for nmae, which is no text of any"),
        ({"rules": {"rank": text.line(9)}}, "a rule for rank, which is no text of any"),
        ({**WITHIN, "rules": {"place.citty": text.line(9)}}, "a rule for place.citty"),
        ({**WITHIN, "rules": {"place": text.line(9)}}, "a rule for place, which is no text"),
        ({**WITHIN, "unique": (Unique("place.city"),)}, "place.city is within an object, and"),
        ({**WITHIN, "unique": (Unique("place"),)}, "place is an object or a list, and cannot be"),
        ({**WITHIN, "unique": (Unique("tags"),)}, "tags is an object or a list, and cannot be"),
        ({**WITHIN, "guarded": ("place.city",)}, "cannot be guarded"),
        ({**WITHIN, "owner": "place.city"}, "its owner, place.city, is no field"),
        ({**WITHIN, "members": "place.city"}, "cannot be the owner or the members"),
        ({**WITHIN, "shard_key": {"place.city": 1, "_id": 1}}, "cannot be in the shard key"),
        ({**WITHIN, "transitions": (Transition("place.city", {}),)}, "cannot be a state"),
        ({**WITHIN, "constraints": (Constraint(("place.city",), dict),)}, "what a constraint"),
        ({**WITHIN, "filters": {"place": EXACT}}, "place is an object in Within"),
        ({**WITHIN, "filters": {"places": EXACT}}, "places is an object in Within"),
        ({**WITHIN, "filters": {"place.town": EXACT}}, "place.town is no field of Within"),
        ({**WITHIN, "filters": {"place.city.x": EXACT}}, "place.city.x is no field of Within"),
        ({**WITHIN, "filters": {"places.city": TEXT}}, "filter it by eq and in"),
        ({**WITHIN, "filters": {"place.points": ORDERED}}, "filter it by eq and in"),
        ({**WITHIN, "filters": {"tags": TEXT}}, "filter it by eq and in"),
        ({**WITHIN, "sorts": ("places.city",)}, "places.city is a list in Within, or in one"),
        ({**WITHIN, "sorts": ("place",)}, "place is an object in Within"),
        ({**WITHIN, "sorts": ("place.code",)}, "place.code may be null in Within"),
        ({**WITHIN, "sorts": ("other.city",)}, "other.city may be null in Within"),
        ({**WITHIN, "attachment": Attachment(field="file", types={})}, "place cannot be in a form"),
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
    declare(
        **WITHIN,
        rules={"place.city": text.line(9), "places.city": text.line(9), "tags": text.line(9)},
        filters={"place.city": TEXT, "place.points": EXACT, "places.city": EXACT, "tags": EXACT},
        sorts=("place.city",),
    )

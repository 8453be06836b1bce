"""Declarations: what follows from the fields; what cannot work is refused, with a sentence."""

from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType, defstruct
from msgspec.structs import fields as parts

from api.crud import values
from api.crud.access import Access, Role, Who
from api.crud.consistency import DeclarationError, check
from api.crud.fields import (
    ADMIN_CHANGES,
    ADMIN_ONLY,
    CREATE_ONLY,
    FRESH_LOGIN,
    MEMBERS,
    NEVER_SHOWN,
    NOT_ONESELF,
    OWNER,
    READ_ONLY,
    UNIQUE,
    Attachment,
    FileInfo,
    Id,
    OnDelete,
    Time,
    UniqueBy,
    refers,
)
from api.crud.resource import (
    EXACT,
    ORDERED,
    TEXT,
    Resource,
)
from api.crud.rules import Constraint, states
from api.crud.shapes import line, replacements, requiring
from api.store import Unique
from api.web import text

LINE = text.line(9)


class Place(Struct, forbid_unknown_fields=True):
    city: Annotated[str, LINE]
    code: str | None = None
    points: list[int] = []


class Endless(Struct, forbid_unknown_fields=True):
    inner: list["Endless"] | None = None


class Renamed(Struct, forbid_unknown_fields=True, rename="camel"):
    at_last: str


class Tagged(Struct, forbid_unknown_fields=True, tag=True):
    city: str


class Unset(Struct, forbid_unknown_fields=True):
    city: str | UnsetType = UNSET


class Marked(Struct, forbid_unknown_fields=True):
    city: Annotated[str, UNIQUE]


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Thing(Struct, kw_only=True):
    """A thing.

    More of it.
    """

    name: Annotated[str, LINE, Meta(examples=["x"])]
    note: Annotated[str, LINE] | None = None
    rank: int = 1
    place: Place
    other: Place | None = None
    places: list[Place] = []
    tags: list[Annotated[str, LINE]] = []
    days: Annotated[list[date], Meta(max_length=3)] | None = None
    kind: Literal["a", "b"] = "a"
    at: datetime | None = None
    owner: Annotated[Id, OWNER]
    readers: Annotated[list[Id], MEMBERS] = []
    number: Annotated[str, UniqueBy(str.lower), CREATE_ONLY]
    email: Annotated[str, UNIQUE, ADMIN_CHANGES, FRESH_LOGIN]
    secret: Annotated[str, NEVER_SHOWN] | None = None
    size: Annotated[Size, ADMIN_ONLY, NOT_ONESELF, states({Size.LARGE: [Size.SMALL]})] = Size.SMALL
    measured: Annotated[Time, READ_ONLY] | None = None


def declare(shape: type[Struct] = Thing, **more: Any) -> Resource:
    made = Resource(name="things", fields=shape, **more)
    check(made)
    return made


def holding(kind: Any, default: Any = NODEFAULT, **more: Any) -> type[Struct]:
    """A struct with a field `x` of this type."""
    part = ("x", kind) if default is NODEFAULT else ("x", kind, default)
    return defstruct("Body", [part, *more.items()], kw_only=True)


def names(shape: type[Struct] | None) -> list[str]:
    assert shape is not None
    return [one.name for one in parts(shape)]


def test_what_creates() -> None:
    create = declare().create
    assert create is not None
    found = {one.name: one for one in parts(create)}
    assert list(found) == [
        name for name in Thing.__struct_fields__ if name not in ("size", "measured")
    ]
    assert {name for name, one in found.items() if one.required} == {
        "name", "place", "number", "email",
    }  # fmt: skip
    assert values.is_optional(found["owner"].type)
    assert (create.__name__, create.__doc__) == ("NewThing", "Body that creates a thing.")


def test_what_changes() -> None:
    change = declare().change
    mine, admins = change[Role.USER], change[Role.ADMIN]
    fixed = {"owner", "number", "measured"}
    assert set(names(admins)) == set(Thing.__struct_fields__) - fixed
    assert set(names(admins)) - set(names(mine)) == {"email", "size"}
    assert all(one.default is UNSET for shape in (mine, admins) for one in parts(shape))
    kinds = values.hints(mine)
    assert values.is_optional(kinds["note"])
    assert not values.is_optional(kinds["name"])
    assert not values.is_optional(kinds["secret"])  # nobody sees it, nobody removes it
    assert (mine.__name__, admins.__name__) == ("ThingChange", "ThingChangeByAdmin")


def test_who_changes() -> None:
    assert declare(access=Access(change=Who.NOBODY)).change == {}
    assert list(declare(access=Access(change=Who.ADMIN)).change) == [Role.ADMIN]
    same = declare(holding(str, y=int)).change
    assert same[Role.USER] is same[Role.ADMIN]
    assert declare(holding(Annotated[str, CREATE_ONLY])).change == {}
    by_admins = Access(change=Who.ADMIN)
    only = declare(holding(Annotated[str, ADMIN_CHANGES]), access=by_admins).change
    assert list(only) == [Role.ADMIN]
    # A body of one field that may be left out would change nothing.
    assert [one.required for one in parts(only[Role.ADMIN])] == [True]


def test_what_is_shown() -> None:
    read = declare().read
    kinds = values.hints(read)
    own = [name for name in Thing.__struct_fields__ if name != "secret"]
    assert names(read) == ["id", *own, "version", "created_at", "updated_at"]
    assert all(one.required for one in parts(read))
    assert (kinds["name"], kinds["tags"], kinds["days"]) == (str, list[str], list[date] | None)
    assert (kinds["owner"], kinds["readers"], kinds["measured"]) == (Id, list[Id], Time | None)
    assert read.__doc__ == "A thing.\n\nMore of it."
    fixed = declare(access=Access(change=Who.NOBODY)).read
    assert names(fixed)[-2:] == ["measured", "created_at"]


def test_what_else_follows() -> None:
    thing = declare()
    assert thing.unique == (Unique("email"), Unique("number", str.lower))
    assert (thing.owner, thing.members) == ("owner", "readers")
    assert (thing.guarded, thing.not_oneself) == (("email",), ("size",))
    assert thing.defaults() == {"size": "small"}
    assert thing.states["size"].condition("large") == {"$in": ["small"]}
    assert thing.states["size"].condition("small") == {"$in": []}
    assert set(thing.rules) == {"name", "note", "place.city", "other.city", "places.city", "tags"}
    assert declare(holding(str), accounts=True).owner == "_id"
    filed = declare(holding(Annotated[FileInfo, Attachment(types={}, unique=True)], y=str))
    assert filed.attachment is not None
    assert filed.attachment.field == "x"
    assert filed.unique == (Unique("x_digest"),)
    assert (names(filed.create), names(filed.change[Role.USER])) == (["y"], ["y"])


def test_a_body_that_requires_more() -> None:
    create = declare().create
    assert create is not None
    made = requiring(create, "secret", "Signed", "With a secret.")
    assert {one.name for one in parts(made) if one.required} >= {"name", "secret"}
    assert names(made) == [*(n for n in names(create) if n != "secret"), "secret"]


def test_bodies_are_structs_and_closed() -> None:
    thing = declare()
    bodies = [thing.create, *thing.change.values(), line(thing.declared, thing.read)]
    bodies += replacements(thing.declared, thing.change).values()
    for shape in bodies:
        assert shape is not None
        assert issubclass(shape, Struct)
        assert shape.__struct_config__.forbid_unknown_fields
    assert issubclass(thing.read, Struct)


@pytest.mark.parametrize(
    ("shape", "more", "message"),
    [
        (holding(Annotated[str, ADMIN_CHANGES]), {}, "only administrators may change its fields"),
        (Thing, {"shard_key": {"owner": 1, "_id": 1}}, "hashed _id"),
        (holding(Annotated[str, OWNER]), {}, "x is marked OWNER, and is no Id"),
        (holding(Annotated[Id, OWNER], y=Annotated[Id, OWNER]), {}, "x and y are both marked"),
        (holding(Annotated[str, READ_ONLY, ADMIN_ONLY]), {}, "marked ADMIN_ONLY and READ_ONLY"),
        (holding(Annotated[str, READ_ONLY]), {}, "a new document would lack it"),
        (holding(Annotated[str, ADMIN_ONLY]), {}, "a new document would lack it"),
        (defstruct("Body", [("version", int)]), {}, "version comes by itself"),
        (holding(FileInfo | None, None), {}, "x in Body: FileInfo takes fields that nobody knows"),
        (holding(list[FileInfo]), {}, "x in Body: FileInfo takes fields"),
        (holding(time), {}, "x in Body holds time"),
        (holding(set[str] | None, None), {}, "x in Body holds set"),
        (holding(dict[str, int]), {}, "x in Body holds dict, which is not stored"),
        (holding(Place | Tagged), {}, "x in Body holds Place, which is not stored"),
        (holding(Place | str), {}, "x in Body holds Place, which is not stored"),
        (holding(Endless), {}, "inner in Endless holds Endless within itself"),
        (holding(list[Renamed]), {}, "Renamed renames at_last"),
        (holding(Tagged), {}, "Tagged is array_like or tagged"),
        (holding(Unset), {}, "city in Unset may be unset"),
        (holding(Marked), {}, "city in Marked is marked: only a document's own fields"),
        (holding(Annotated[int, LINE]), {}, "x in Body has a rule, and is no text"),
        (holding(Annotated[Place, LINE]), {}, "x in Body has a rule, and is no text"),
        (holding(Annotated[Place, UNIQUE]), {}, "x is an object or a list, and cannot be unique"),
        (holding(Annotated[list[str], UNIQUE]), {}, "x is an object or a list, and cannot be"),
        (holding(Annotated[str, refers("users")]), {}, "x refers to users, and is no Id"),
        (holding(Annotated[Id, refers("users", OnDelete.CLEAR)]), {}, "x cannot be cleared"),
        (Thing, {"constraints": (Constraint(("place.city",), dict),)}, "what a constraint names"),
        (Thing, {"constraints": (Constraint(("nmae",), dict),)}, "nmae is no field of Thing"),
        (holding(Place), {"shard_key": {"x.city": 1, "_id": 1}}, "cannot be in the shard key"),
        (holding(str), {"rate": "nonsense"}, "there is no setting nonsense_rate_address"),
        (Thing, {"filters": {"colour": ("eq",)}}, "colour is no field of Thing"),
        (Thing, {"filters": {"secret": EXACT}}, "secret is no field of Thing"),
        (Thing, {"filters": {"place": EXACT}}, "place is an object in Thing"),
        (Thing, {"filters": {"places": EXACT}}, "places is an object in Thing"),
        (Thing, {"filters": {"place.town": EXACT}}, "place.town is no field of Thing"),
        (Thing, {"filters": {"place.city.x": EXACT}}, "place.city.x is no field of Thing"),
        (Thing, {"filters": {"places.city": TEXT}}, "filter it by eq and in"),
        (Thing, {"filters": {"place.points": ORDERED}}, "filter it by eq and in"),
        (Thing, {"filters": {"tags": TEXT}}, "filter it by eq and in"),
        (Thing, {"sorts": ("colour",)}, "colour is no field of Thing"),
        (Thing, {"sorts": ("note",)}, "note may be null"),
        (Thing, {"sorts": ("measured",)}, "measured may be null"),
        (Thing, {"sorts": ("places.city",)}, "places.city is a list in Thing, or in one"),
        (Thing, {"sorts": ("place",)}, "place is an object in Thing"),
        (Thing, {"sorts": ("place.code",)}, "place.code may be null in Thing"),
        (Thing, {"sorts": ("other.city",)}, "other.city may be null in Thing"),
        (
            holding(Annotated[FileInfo, Attachment(types={})], place=Place),
            {},
            "place cannot be in a form",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refused(shape: type[Struct], more: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        declare(shape, **more)
    assert "things" in str(caught.value)


def test_admitted() -> None:
    declare(sorts=("name", "rank", "size", "owner"))
    declare(
        filters={"place.city": TEXT, "place.points": EXACT, "places.city": EXACT, "tags": EXACT},
        sorts=("place.city",),
    )
    nobody = Access(create=Who.NOBODY, change=Who.NOBODY)
    declare(holding(Annotated[str, READ_ONLY]), access=nobody)

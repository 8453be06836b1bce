"""Objects within documents, and lists of them: taken, stored, shown, found, changed, in and out."""

import json
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from api.crud.access import Access, Who
from api.crud.fields import UNIQUE, Id, Time
from api.crud.resource import EXACT, ORDERED, TEXT, Resource
from api.crud.rules import Constraint
from api.settings import Settings
from api.store import Documents, Store
from api.web import text
from tests.helpers.api import serving

PARCELS = "/api/v1/parcels"
PRODUCT = "665f1f77bcf86cd799439011"
NDJSON = "application/x-ndjson"


class Kind(StrEnum):
    GOOD = "good"
    FRAGILE = "fragile"


class Point(Struct, kw_only=True, forbid_unknown_fields=True):
    x: float
    y: float
    label: Annotated[str, text.line(20)] | None = None


class Place(Struct, kw_only=True, forbid_unknown_fields=True):
    city: Annotated[str, text.line(20)]
    code: str | None = None
    country: str = "DE"
    since: date | None = None
    point: Point | None = None


class Line(Struct, kw_only=True, forbid_unknown_fields=True):
    product: Annotated[Id, Meta(description="What is in it")]
    price: Annotated[int, Meta(ge=0)] = 1
    kind: Kind = Kind.GOOD
    at: Time | None = None
    notes: list[Annotated[str, text.paragraphs(20)]] = []


class Parcel(Struct, kw_only=True):
    """A parcel."""

    name: Annotated[str, text.line(60), UNIQUE]
    place: Annotated[Place, Meta(description="Where to")]
    billing: Place | None = None
    lines: list[Line] = msgspec.field(default_factory=list)
    tags: Annotated[list[Annotated[str, text.line(5)]], Meta(max_length=5)] | None = None


def no_gifts(parcel: Mapping[str, Any]) -> dict[str, str]:
    wrong = [n for n, line in enumerate(parcel["lines"]) if line["price"] == 0]
    return {f"lines.{n}.price": "Not for nothing there." for n in wrong if parcel.get("billing")}


DECLARED = Resource(
    name="parcels",
    fields=Parcel,
    access=Access(list=Who.USER, create=Who.USER, get=Who.USER, change=Who.USER, bulk=Who.ADMIN),
    constraints=(Constraint(("lines", "billing"), no_gifts),),
    filters={
        "name": TEXT,
        "place.city": TEXT,
        "place.since": ORDERED,
        "place.point.x": ORDERED,
        "lines.product": EXACT,
        "lines.kind": EXACT,
        "tags": EXACT,
    },
    sorts=("place.city",),
)


@pytest.fixture(scope="module")
def served(conf: Settings, store: Store) -> Iterator[Flask]:
    with serving(conf, store, DECLARED) as app:
        yield app


@pytest.fixture
def client(served: Flask, admin: dict[str, str]) -> FlaskClient:
    """Speaks for an administrator, whose changes are audited, too."""
    client = served.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = admin["Authorization"]
    return client


@pytest.fixture
def parcels(store: Store) -> Documents:
    return DECLARED.documents(store)


def body(**more: Any) -> dict[str, Any]:
    return {"name": secrets.token_hex(8), "place": {"city": "Berlin"}, **more}


def make(client: FlaskClient, **more: Any) -> tuple[str, dict[str, Any]]:
    answer = client.post(PARCELS, json=body(**more))
    assert answer.status_code == 201, answer.json
    assert answer.json is not None
    return answer.headers["Location"], answer.json


def told(answer: Any) -> dict[str, str]:
    assert answer.status_code in (409, 422), answer.json
    return {one.get("pointer") or one["parameter"]: one["detail"] for one in answer.json["errors"]}


def test_what_is_shown_and_what_is_stored(client: FlaskClient, parcels: Documents) -> None:
    _, shown = make(
        client,
        place={"city": " Bad  Ems ", "since": "2026-01-31", "point": {"x": 1, "y": 2.5}},
        lines=[{"product": PRODUCT.upper(), "at": "2026-01-31T12:00:00+01:00", "notes": [" a "]}],
        tags=[" a ", "b"],
    )
    point = {"x": 1.0, "y": 2.5, "label": None}
    assert shown["place"] == {
        "city": "Bad Ems", "code": None, "country": "DE", "since": "2026-01-31", "point": point,
    }  # fmt: skip
    at = "2026-01-31T11:00:00Z"
    line = {"product": PRODUCT, "price": 1, "kind": "good", "at": at, "notes": ["a"]}
    assert (shown["lines"], shown["tags"], shown["billing"]) == ([line], ["a", "b"], None)
    held = parcels.get(ObjectId(shown["id"]))
    assert held is not None
    assert held["place"] == {
        "city": "Bad Ems", "country": "DE", "since": "2026-01-31", "point": {"x": 1.0, "y": 2.5},
    }  # fmt: skip
    assert held["lines"] == [
        {**line, "product": ObjectId(PRODUCT), "at": datetime(2026, 1, 31, 11, tzinfo=UTC)}
    ]
    assert "billing" not in held
    assert client.get(f"{PARCELS}/{shown['id']}").json == shown


def test_all_that_is_wrong_is_named(client: FlaskClient) -> None:
    line = {"product": PRODUCT}
    wrong = body(
        place={"city": "\u202e", "code": "a\0", "more": 1, "point": {"x": "1", "y": 1}},
        billing={},
        lines=[line, {**line, "price": 2**63, "notes": ["a", "x" * 21]}, {"product": "z"}],
        tags=["a", "\x01"],
    )
    said = told(client.post(PARCELS, json=wrong))
    assert set(said) == {
        "#/place/city", "#/place/code", "#/place/more", "#/place/point/x", "#/billing/city",
        "#/lines/1/price", "#/lines/1/notes/1", "#/lines/2/product", "#/tags/1",
    }  # fmt: skip
    # Nothing of it is wrong by its type: only rules, and what is not stored.
    late = {**line, "at": "9999-12-31T23:59:59-01:00", "notes": ["a", "\x01"]}
    fine = body(place={"city": " ", "code": "\0"}, lines=[line, late], tags=["a", "123456"])
    said = told(client.post(PARCELS, json=fine))
    assert set(said) == {
        "#/place/city", "#/place/code", "#/lines/1/at", "#/lines/1/notes/1", "#/tags/1",
    }  # fmt: skip
    for place in (1, None, [{}]):
        assert set(told(client.post(PARCELS, json=body(place=place)))) == {"#/place"}
    twice = json.dumps(body()).replace('"city":', '"city": "A", "city":')
    answer = client.post(PARCELS, data=twice, content_type="application/json")
    assert set(told(answer)) == {"#/place/city"}


def test_an_answer_names_twenty(client: FlaskClient) -> None:
    place = {f"k{n}": 1 for n in range(500)}
    answer = client.post(PARCELS, json=body(place=place)).json
    assert answer is not None
    assert (len(answer["errors"]), answer["error_count"]) == (20, 501)
    rules = client.post(PARCELS, json=body(lines=[{"product": PRODUCT, "notes": [""] * 30}])).json
    assert rules is not None
    assert (len(rules["errors"]), rules["error_count"]) == (20, 30)


def test_a_patch_merges(client: FlaskClient) -> None:
    place = {"city": "Bonn", "code": "53111", "point": {"x": 1, "y": 2, "label": "a"}}
    url, before = make(client, place=place, lines=[{"product": PRODUCT}], tags=["a", "b"])
    change = {"place": {"code": None, "point": {"y": 3}}, "tags": ["c"]}
    after = client.patch(url, json=change).json
    assert after is not None
    point = {"x": 1.0, "y": 3.0, "label": "a"}
    assert after["place"] == {**before["place"], "code": None, "point": point}
    assert (after["tags"], after["lines"]) == (["c"], before["lines"])
    after = client.patch(url, json={"place": {"point": {"label": None}}, "tags": None}).json
    assert after is not None
    assert (after["place"]["point"]["label"], after["tags"]) == (None, None)
    after = client.patch(url, json={"place": {"point": None, "since": "2026-02-01"}}).json
    assert after is not None
    assert (after["place"]["point"], after["place"]["since"]) == (None, "2026-02-01")
    for wrong, pointer in (
        ({"place": {"city": None}}, "#/place/city"),
        ({"place": {"citty": "x"}}, "#/place/citty"),
        ({"place": {"city": "\x01"}}, "#/place/city"),
        ({"place": None}, "#/place"),
        ({"lines": [{}]}, "#/lines/0/product"),
    ):
        assert set(told(client.patch(url, json=wrong))) == {pointer}
    assert client.get(url).json == after


def test_a_patch_makes_an_object(client: FlaskClient, parcels: Documents) -> None:
    """Of the patch alone; so it must be whole."""
    url, before = make(client)
    taken = body()["name"]
    lacking = {"name": taken, "billing": {"code": "1", "point": {"x": 1}}}
    answer = client.patch(url, json=lacking)
    assert answer.status_code == 409
    assert set(told(answer)) == {"#/billing/city", "#/billing/point/y"}
    assert client.get(url).json == before
    assert parcels.find_unique("name", taken) is None
    make(client, name=taken)  # what was refused has freed its claims
    made = client.patch(url, json={"billing": {"city": " Ulm", "since": "2026-01-01"}}).json
    assert made is not None
    billing = {"city": "Ulm", "country": "DE", "since": "2026-01-01"}
    assert made["billing"] == {**billing, "code": None, "point": None}
    held = parcels.get(ObjectId(before["id"]))
    assert held is not None
    assert held["billing"] == billing
    gone = client.patch(url, json={"billing": None}).json
    assert gone is not None
    assert gone["billing"] is None


def test_large_numbers(client: FlaskClient) -> None:
    """Above 32 bits the database has another type for them, below our floor."""
    lines = [{"product": PRODUCT, "price": price} for price in (2**31, 2**63 - 1)]
    url, made = make(client, lines=lines)
    assert client.get(url).json == made
    back = client.patch(url, json={"lines": made["lines"]}).json
    assert back is not None
    assert back["lines"] == made["lines"]


def test_patches_at_once_are_all_there(client: FlaskClient, served: Flask) -> None:
    url, _ = make(client)
    changes: list[dict[str, Any]] = [{"code": "1"}, {"country": "AT"}, {"since": "2026-01-01"}]

    def send(change: dict[str, Any]) -> int:
        one = served.test_client()
        one.environ_base.update(client.environ_base)
        return one.patch(url, json={"place": change}).status_code

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(send, changes)) == [200, 200, 200]
    found = client.get(url).json
    assert found is not None
    assert (found["place"]["code"], found["place"]["country"]) == ("1", "AT")
    assert (found["place"]["since"], found["version"]) == ("2026-01-01", 4)


def test_a_patch_on_condition_and_a_patch_sent_twice(client: FlaskClient) -> None:
    url, _ = make(client)
    stale = client.patch(url, json={"place": {"code": "1"}}, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = client.patch(url, json={"place": {"code": "1"}}, headers=key)
    assert (first.status_code, first.json and first.json["version"]) == (200, 2)
    assert client.patch(url, json={"place": {"code": "2"}}).status_code == 200
    again = client.patch(url, json={"place": {"code": "1"}}, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.json and again.json["place"]["code"]) == "2"
    other = client.patch(url, json={"place": {"code": "3"}}, headers=key)
    assert other.status_code == 422
    missing = client.patch(f"{PARCELS}/{ObjectId()}", json={"place": {"code": "1"}})
    assert missing.status_code == 404


def test_put_replaces(client: FlaskClient) -> None:
    url, before = make(client, place={"city": "Bonn", "code": "1", "country": "AT"}, tags=["a"])
    after = client.put(url, json={"name": before["name"], "place": {"city": "Ulm"}}).json
    assert after is not None
    assert after["place"] == {
        "city": "Ulm", "code": None, "country": "DE", "since": None, "point": None,
    }  # fmt: skip
    assert after["tags"] is None
    assert set(told(client.put(url, json={"name": "x", "place": {"code": "1"}}))) == {
        "#/place/city"
    }


def test_constraints_point_inside(client: FlaskClient) -> None:
    lines = [{"product": PRODUCT}, {"product": PRODUCT, "price": 0}]
    both = body(lines=lines, billing={"city": "Ulm"})
    assert set(told(client.post(PARCELS, json=both))) == {"#/lines/1/price"}
    url, _ = make(client, lines=lines)
    answer = client.patch(url, json={"billing": {"city": "Ulm"}})
    assert answer.status_code == 409
    assert set(told(answer)) == {"#/lines/1/price"}


def found(client: FlaskClient, query: str) -> list[str]:
    answer = client.get(f"{PARCELS}?{query}")
    assert answer.status_code == 200, answer.json
    assert answer.json is not None
    return [one["id"] for one in answer.json["items"]]


def test_filters(client: FlaskClient) -> None:
    mark, product = f"C{secrets.token_hex(4)}", str(ObjectId())
    place = {"city": f"{mark} a", "since": "2026-01-31", "point": {"x": 1.5, "y": 0}}
    line = {"product": product, "kind": "fragile"}
    _, one = make(client, place=place, lines=[{"product": PRODUCT}, line], tags=[mark[:5]])
    _, two = make(client, place={"city": f"{mark} b"}, lines=[{"product": product}])
    near = f"place.city[prefix]={mark}"
    for query, wanted in (
        (f"place.city={mark}++a", [one]),  # under the same rule
        (f"place.city[in]={mark} a,{mark} b", [one, two]),
        (f"place.city[prefix]={mark.lower()} Á", [one]),
        (near, [one, two]),
        (f"{near}&place.since[gte]=2026-01-31&place.since[lt]=2026-02-01", [one]),
        (f"{near}&place.point.x[gt]=1", [one]),
        (f"lines.product={product.upper()}", [one, two]),
        (f"lines.product={product}&lines.kind=fragile", [one]),
        (f"tags={mark[:5]}&{near}", [one]),
    ):
        assert found(client, query) == [parcel["id"] for parcel in wanted], query
    for wrong in (
        "place.since[gte]=x", "place.point.x=a", "lines.product=1", "lines.kind[in]=good,bad",
        "place.code=1", "place=1", "place.city=%01", "lines.product[gt]=1", "sort=place.code",
    ):  # fmt: skip
        name = wrong.partition("=")[0]
        assert set(told(client.get(f"{PARCELS}?{wrong}"))) == {name}


@pytest.mark.parametrize("fields", ["", "&fields=name", "&fields=place"])
@pytest.mark.parametrize("way", ["", "-"])
def test_pages_in_the_order_of_an_inner_field(client: FlaskClient, fields: str, way: str) -> None:
    mark = f"S{secrets.token_hex(4)}"
    made = [make(client, place={"city": f"{mark} {city}"})[1] for city in "caabb"]
    at = f"{PARCELS}?place.city[prefix]={mark}&sort={way}place.city&limit=2{fields}"
    seen, after = [], ""
    while True:
        page = client.get(at + after).json
        assert page is not None
        seen += [one["id"] for one in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    wanted = sorted(made, key=lambda one: (one["place"]["city"], one["id"]), reverse=way == "-")
    assert seen == [one["id"] for one in wanted]


def test_out_and_in(client: FlaskClient, parcels: Documents) -> None:
    mark = f"X{secrets.token_hex(4)}"
    _, first = make(client, place={"city": mark, "point": {"x": 1, "y": 2}}, tags=["a"])
    _, second = make(client, place={"city": mark}, lines=[{"product": PRODUCT, "notes": ["n"]}])
    exported = client.get(f"{PARCELS}/export?place.city={mark}").data
    assert [json.loads(line) for line in exported.splitlines()] == [first, second]
    for one in (first, second):
        assert parcels.delete(ObjectId(one["id"]))
    lines = exported + json.dumps(body(place={"city": 1}, tags=["a", "123456"])).encode()
    report = client.post(f"{PARCELS}/import?ids=keep", data=lines, content_type=NDJSON).data
    refused, summary = [json.loads(line) for line in report.splitlines()]
    assert summary == {"created": 2, "refused": 1}
    assert {one["pointer"] for one in refused["errors"]} == {"#/place/city", "#/tags/1"}
    for one in (first, second):
        again = client.get(f"{PARCELS}/{one['id']}").json
        assert again is not None
        assert {**again, "created_at": "", "updated_at": ""} == {
            **one, "created_at": "", "updated_at": "",
        }  # fmt: skip


def test_the_audit_trail_names_what_is_within(client: FlaskClient) -> None:
    url, made = make(client)
    client.patch(url, json={"place": {"code": "1", "point": {"x": 1, "y": 1}}, "tags": ["a"]})
    events = client.get(f"/api/v1/audit?target={made['id']}&event=parcels.change").json
    assert events is not None
    assert [one["fields"] for one in events["items"]] == [
        ["place.code", "place.point.x", "place.point.y", "tags"]
    ]


def test_it_is_described(client: FlaskClient) -> None:
    described = client.get("/api/v1/openapi.json").json
    assert described is not None
    schemas = described["components"]["schemas"]
    new, change = schemas["NewParcel"]["properties"], schemas["ParcelChange"]["properties"]
    assert {"Place", "Line", "Point"} <= schemas.keys()  # of answers
    assert not {"PlacePatch", "PointPatch"} & schemas.keys()  # of nothing: bodies have them within
    assert change["place"]["description"] == "Where to"
    place = new["place"]
    assert (place["required"], place["additionalProperties"]) == (["city"], False)
    assert place["properties"]["city"]["maxLength"] == 20
    assert change["place"].get("required", []) == []
    assert change["place"]["properties"]["city"]["maxLength"] == 20
    assert {"type": "null"} not in change["place"]["properties"]["city"].get("anyOf", [])
    lines = new["lines"]["items"]["properties"]
    assert lines["price"]["maximum"] == 2**63 - 1
    assert lines["notes"]["items"]["maxLength"] == 20
    parameters = {one["name"]: one for one in described["paths"][PARCELS]["get"]["parameters"]}
    assert parameters["place.city"]["schema"]["maxLength"] == 20
    assert {"place.city[prefix]", "place.since[gte]", "lines.product[in]"} <= parameters.keys()
    assert "place.city" in parameters["sort"]["schema"]["enum"]


# Most are accepted: what decides is what follows a letter.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=4).map("x".__add__)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
POINTS = st.fixed_dictionaries({"x": NUMBERS, "y": NUMBERS}, optional={"label": st.none() | TEXTS})
PLACES = st.fixed_dictionaries(
    {"city": TEXTS},
    optional={
        "code": st.none() | TEXTS,
        "country": TEXTS,
        "since": st.none() | st.dates().map(date.isoformat),
        "point": st.none() | POINTS,
    },
)
LINES = st.fixed_dictionaries(
    {"product": st.just(PRODUCT)},
    optional={
        "price": st.integers(1, 9) | st.integers(2**31, 2**63 - 1),
        "kind": st.sampled_from(Kind),
        "at": st.none() | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "notes": st.lists(TEXTS, max_size=2),
    },
)
BODIES = st.fixed_dictionaries(
    {"place": PLACES},
    optional={
        "billing": st.none() | PLACES,
        "lines": st.lists(LINES, max_size=2),
        "tags": st.none() | st.lists(TEXTS, max_size=2),
    },
)


@settings(
    max_examples=40,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # to make a failure smaller would take minutes of requests
)
@given(BODIES)
def test_what_was_accepted_can_be_sent_back(client: FlaskClient, given: dict[str, Any]) -> None:
    made = client.post(PARCELS, json=body(**given))
    if made.status_code != 201:
        assert told(made)
        return
    assert made.json is not None
    url = made.headers["Location"]
    assert client.get(url).json == made.json
    shown = {name: made.json[name] for name in Parcel.__struct_fields__}
    for send in (client.put, client.patch):
        back = send(url, json=shown)
        assert back.status_code == 200, back.json
        assert back.json is not None
        assert {name: back.json[name] for name in shown} == shown

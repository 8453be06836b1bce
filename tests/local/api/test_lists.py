"""Lists: filters, orders, chosen fields; pages that neither skip nor repeat; bent cursors."""

import secrets
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient

from api.resources.projects import PROJECTS as DECLARED
from api.store import Documents, Store
from api.store.document import fresh
from cluster.local.cluster import LocalCluster
from tests.helpers.api import DROPPED

PROJECTS = "/api/v1/projects"
OWNER = ObjectId()
START = datetime(2026, 1, 1, tzinfo=UTC)


def project(number: int, **more: Any) -> dict[str, Any]:
    given = {"name": f"P{number}", "status": "planned", "members": [], "owner": OWNER, **more}
    made = fresh(DECLARED.beginning(given), ObjectId())
    return {**made, "created_at": START + timedelta(days=number), **more}


@pytest.fixture(scope="module")
def projects(store: Store) -> Documents:
    return DECLARED.documents(store)


@pytest.fixture
def owner(projects: Documents) -> Iterator[ObjectId]:
    """An owner of twelve projects, and of nothing else."""
    me = ObjectId()
    projects.collection.insert_many(
        [
            project(
                n,
                owner=me,
                name=f"{'alpha' if n % 2 else 'Beta'} {n // 4}",
                status=("planned", "active", "done")[n % 3],
                starts_on=f"2026-0{n % 6 + 1}-01",
            )
            for n in range(12)
        ]
    )
    yield me
    projects.collection.delete_many({"owner": me})


@pytest.fixture
def get(client: FlaskClient, admin: dict[str, str], owner: ObjectId) -> Any:
    """The items that a query yields among that owner's."""

    def items(query: str = "") -> list[dict[str, Any]]:
        answer = client.get(f"{PROJECTS}?owner={owner}&limit=100&{query}", headers=admin)
        assert answer.status_code == 200, answer.json
        assert answer.json["next"] is None
        found: list[dict[str, Any]] = answer.json["items"]
        return found

    return items


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 12),
        ("status=done", 4),
        ("status[in]=done,active", 8),
        ("name=alpha 0", 2),
        ("name=  alpha   0 ", 2),
        ("name[in]=alpha 0,Beta 1", 4),
        ("name[prefix]=alpha", 6),
        ("name[prefix]=alph", 6),
        ("name[prefix]=alpha 0", 2),
        ("name[prefix]=a.*", 0),
        ("name[prefix]=ALPHA", 6),
        ("name[prefix]=álPHÁ  0", 2),
        ("name[prefix]=b", 6),
        ("name=ALPHA 0", 0),
        ("name=álpha 0", 0),
        ("name[in]=Alpha 0,Beta 1", 2),
        ("name=alpha 0&name[prefix]=AL", 2),
        ("name=alpha 0&name[prefix]=b", 0),
        ("starts_on=2026-03-01", 2),
        ("starts_on[gt]=2026-03-01", 6),
        ("starts_on[gte]=2026-03-01&starts_on[lt]=2026-05-01", 4),
        ("starts_on[in]=2026-03-01,2026-04-01&status=done", 2),
        ("created_at[lte]=2026-01-03T00:00:00Z", 3),
        ("created_at[lt]=2026-01-03T01:00:00%2B01:00", 2),
        ("created_at=2026-01-03T00:00:00.000Z", 1),
        ("status=done&name[prefix]=alpha", 2),
    ],
)
def test_filters(get: Any, query: str, count: int) -> None:
    assert len(get(query)) == count


def test_orders(get: Any) -> None:
    def values(query: str, field: str) -> list[Any]:
        return [item[field] for item in get(query)]

    for field, key in (("name", str.lower), ("created_at", str)):
        up = values(f"sort={field}", field)
        assert up == sorted(up, key=key)
        assert values(f"sort=-{field}", field) == up[::-1]
    assert values("sort=-name", "id") == values("sort=name", "id")[::-1]
    assert values("", "id") == sorted(values("", "id"))


def test_chosen_fields(get: Any) -> None:
    assert set(get("fields=name,members&sort=created_at")[0]) == {"id", "name", "members"}
    assert set(get("fields=id")[0]) in ({"id"}, {"id", "version"})
    chosen = get("fields=description,starts_on")[0]
    assert chosen["description"] is None


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("colour=red", "colour"),
        ("description=x", "description"),
        ("status=lost", "status"),
        ("status[in]=done,lost", "status[in]"),
        ("status[in]=", "status[in]"),
        ("status[gt]=done", "status[gt]"),
        ("status[$gt]=done", "status[$gt]"),
        ("name[prefix]=", "name[prefix]"),
        ("name=", "name"),
        ("name[in]=a,%0a", "name[in]"),
        ("starts_on=2026-02-30", "starts_on"),
        ("starts_on=20260101", "starts_on"),
        ("created_at[gt]=2026-01-01", "created_at[gt]"),
        ("created_at[gt]=2026-01-01T00:00:00", "created_at[gt]"),
        ("created_at[gt]=1767225600", "created_at[gt]"),
        ("created_at[gte]=0001-01-01T00:00:00%2B23:59", "created_at[gte]"),
        ("created_at[in]=9999-12-31T23:59:59-23:59", "created_at[in]"),
        ("owner=me", "owner"),
        ("members=" + "0" * 23, "members"),
        ("members[in]=" + "0" * 24, "members[in]"),
        ("sort=status", "sort"),
        ("sort=--name", "sort"),
        ("sort=", "sort"),
        ("sort=_id", "sort"),
        ("sort=name&sort=-name", "sort"),
        ("fields=", "fields"),
        ("fields=name,secret", "fields"),
        ("fields=_id", "fields"),
        ("limit=0", "limit"),
        ("limit=ten", "limit"),
        ("limit=1e3", "limit"),
        ("after=", "after"),
        ("after=x", "after"),
        ("after=" + "A" * 80, "after"),
        ("after=%C3%A9", "after"),
        ("name[in]=" + ",".join("a" * 101), "name[in]"),
    ],
)
def test_bad_queries(
    client: FlaskClient, admin: dict[str, str], query: str, parameter: str
) -> None:
    answer = client.get(f"{PROJECTS}?{query}", headers=admin)
    assert answer.status_code == 422, answer.json
    assert [e["parameter"] for e in answer.json["errors"]] == [parameter]


def test_all_faults_of_a_query_at_once(client: FlaskClient, admin: dict[str, str]) -> None:
    answer = client.get(f"{PROJECTS}?limit=0&status=x&colour=red&sort=x", headers=admin)
    assert {e["parameter"] for e in answer.json["errors"]} == {"limit", "status", "colour", "sort"}


def test_booleans(client: FlaskClient, admin: dict[str, str]) -> None:
    for value in ("true", "false"):
        found = client.get(f"/api/v1/users?disabled={value}", headers=admin).json["items"]
        assert all(user["disabled"] is (value == "true") for user in found)
    for value in ("1", "yes", "True", ""):
        refused = client.get(f"/api/v1/users?disabled={value}", headers=admin)
        assert [e["parameter"] for e in refused.json["errors"]] == ["disabled"]


def test_addresses_are_compared_in_their_normal_form(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    email = ada["user"]["email"]
    for query in (f"email={email.upper()}", f"email[prefix]={email[:9].upper()}", f"email={email}"):
        found = client.get(f"/api/v1/users?{query}", headers=admin).json["items"]
        assert [user["id"] for user in found] == [ada["user"]["id"]]


# --- pages --------------------------------------------------------------------------------------


def walk(
    client: FlaskClient, headers: dict[str, str], query: str, meanwhile: Any = None
) -> list[str]:
    """The ids on all pages, by way of the Link headers."""
    url, seen = f"{PROJECTS}?{query}", []
    while True:
        answer = client.get(url, headers=headers)
        assert answer.status_code == 200, answer.json
        seen += [item["id"] for item in answer.json["items"]]
        assert len(seen) < 100, "pages repeat themselves"
        link = answer.headers.get("Link")
        assert (link is None) == (answer.json["next"] is None)
        if link is None:
            return seen
        target, _, relation = link.partition(">; ")
        assert relation == 'rel="next"'
        url = target.removeprefix("<")
        after = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["after"]
        assert after == [answer.json["next"]]
        if meanwhile is not None:
            meanwhile()


NAMES = st.lists(st.sampled_from(["a", "B", "b", "ä", "aa"]), min_size=1, max_size=12)


@given(
    names=NAMES,
    later=NAMES,
    size=st.integers(1, 5),
    sort=st.sampled_from(["", "name", "-name", "created_at", "-created_at"]),
)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_all_pages_are_the_sorted_whole(  # noqa: PLR0917
    client: FlaskClient,
    admin: dict[str, str],
    projects: Documents,
    names: list[str],
    later: list[str],
    size: int,
    sort: str,
) -> None:
    """Under equal sort values, either way; what is inserted meanwhile repeats nothing."""
    me, more = ObjectId(), iter(later)
    made = [project(n % 2, owner=me, name=name) for n, name in enumerate(names)]
    projects.collection.insert_many(made)

    def insert() -> None:
        name = next(more, None)
        if name is not None:
            projects.collection.insert_one(project(1, owner=me, name=name))

    try:
        query = f"owner={me}&limit={size}" + (f"&sort={sort}" if sort else "")
        field = sort.removeprefix("-") or "_id"
        field = DECLARED.folded.get(field, field)
        order = sorted(made, key=lambda p: (p[field], p["_id"]), reverse=sort.startswith("-"))
        assert walk(client, admin, query) == [str(p["_id"]) for p in order]
        seen = walk(client, admin, query, insert)
        assert len(seen) == len(set(seen))
        assert [i for i in seen if ObjectId(i) in {p["_id"] for p in made}] == [
            str(p["_id"]) for p in order
        ]
    finally:
        projects.collection.delete_many({"owner": me})


def test_a_cursor_is_for_its_own_list_only(
    client: FlaskClient, admin: dict[str, str], owner: ObjectId
) -> None:
    base = f"{PROJECTS}?owner={owner}&limit=2"
    cursor = client.get(f"{base}&sort=name", headers=admin).json["next"]
    assert client.get(f"{base}&sort=name&after={cursor}", headers=admin).status_code == 200
    more = f"{PROJECTS}?owner={owner}&limit=5&fields=name&sort=name&after={cursor}"
    assert client.get(more, headers=admin).status_code == 200
    for other in (
        f"{base}&sort=-name",
        base,
        f"{base}&sort=name&status=done",
        f"{PROJECTS}?limit=2&sort=name",
        "/api/v1/users?limit=2&sort=name",
    ):
        answer = client.get(f"{other}{'&' if '?' in other else '?'}after={cursor}", headers=admin)
        assert answer.status_code == 422, other
        assert [e["parameter"] for e in answer.json["errors"]] == ["after"]


@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_other_text_is_a_cursor(
    client: FlaskClient, admin: dict[str, str], projects: Documents, data: st.DataObject
) -> None:
    me = ObjectId("665f1f77bcf86cd799439011")
    if projects.collection.find_one({"owner": me}) is None:
        projects.collection.insert_many([project(n, owner=me) for n in range(3)])
    base = f"{PROJECTS}?owner={me}&limit=1&sort=name"
    good = client.get(base, headers=admin).json["next"]
    place = data.draw(st.integers(0, len(good) - 1))
    bent = data.draw(
        st.one_of(
            st.text(max_size=40),
            st.sampled_from("AZaz09-_").map(lambda c: good[:place] + c + good[place + 1 :]),
            st.just(good[:place]),
            st.just(good + "AAAA"),
        )
    )
    answer = client.get(f"{base}&after={urllib.parse.quote(bent, safe='')}", headers=admin)
    if answer.status_code == 200:  # base64 has spare bits in its last character
        assert bent[:-1] == good[:-1]
    else:
        assert [e["parameter"] for e in answer.json["errors"]] == ["after"]


# --- what a page costs --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(projects: Documents) -> Iterator[ObjectId]:
    """2,000 projects of 40 owners with three names, over both shards."""
    mark = f"many {secrets.token_hex(4)}"
    owners = [ObjectId() for _ in range(40)]
    projects.collection.insert_many(
        [
            project(n % 500, owner=owners[n % 40], name=f"{mark} {n % 3}", description=mark)
            for n in range(2000)
        ]
    )
    yield owners[0]
    projects.collection.delete_many({"owner": {"$in": owners}})


def stages(plan: Any) -> Iterator[dict[str, Any]]:
    """Every stage with its figures, of every shard."""
    if isinstance(plan, dict):
        if "stage" in plan:
            yield plan
        for value in plan.values():
            yield from stages(value)
    elif isinstance(plan, list):
        for value in plan:
            yield from stages(value)


@pytest.fixture
def figures(cluster: LocalCluster, store: Store, many: ObjectId) -> Iterator[Any]:
    """What a command costs each shard."""
    assert many
    admin: MongoClient[dict[str, Any]]
    with MongoClient(cluster.uri("admin")) as admin:
        database = admin[store.database.name]

        def run(command: dict[str, Any]) -> list[dict[str, Any]]:
            kept = {name: value for name, value in command.items() if name not in DROPPED}
            found = database.command("explain", kept, verbosity="executionStats")
            shards: list[dict[str, Any]] = found["executionStats"]["executionStages"]["shards"]
            return shards

        yield run


@pytest.mark.long
@pytest.mark.core
@pytest.mark.parametrize(
    "asked",
    [
        (sort, query)
        for sort in ("", "name", "-name", "created_at", "-created_at")
        for query in ("", "&status=planned", "&name[prefix]=many")
    ],
    ids=str,
)
def test_a_page_deep_inside_reads_no_more_than_the_first(
    client: FlaskClient,
    admin: dict[str, str],
    seam: Any,
    figures: Any,
    asked: tuple[str, str],
) -> None:
    """By explain of the very command, on both shards: index ranges, merged; nothing is sorted."""
    sort, query = asked
    sent: list[dict[str, Any]] = []

    def note(name: str, collection: str, command: dict[str, Any]) -> None:
        if collection == "projects" or name == "getMore":
            sent.append(command)

    url = f"{PROJECTS}?limit=100{query}" + (f"&sort={sort}" if sort else "")
    with seam.hooked(before=note):
        for _ in range(6):
            answer = client.get(url, headers=admin)
            assert len(answer.json["items"]) == 100
            url = answer.headers["Link"].partition(">")[0][1:]
    assert [next(iter(command)) for command in sent] == ["find"] * 6  # a page is one round trip
    for command in (sent[0], sent[-1]):
        shards = figures(command)
        assert len(shards) == 2
        for shard in shards:
            kinds = {stage["stage"] for stage in stages(shard["executionStages"])}
            assert "COLLSCAN" not in kinds
            if not query:
                assert "SORT" not in kinds
                assert shard["totalKeysExamined"] <= 110, shard
                assert shard["totalDocsExamined"] <= 110

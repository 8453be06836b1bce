"""Projects: owner, members, strangers and administrators; dates that hang together; one shard."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from api.resources.projects import PROJECTS as DECLARED
from api.store import Documents, Store
from tests.helpers.api import make_person, sign_up

PROJECTS = "/api/v1/projects"


@pytest.fixture
def projects(store: Store) -> Documents:
    return DECLARED.documents(store)


@pytest.fixture(scope="module")
def ada(app: Flask) -> dict[str, Any]:
    """One for all tests here: signing up takes time."""
    return sign_up(app.test_client(), make_person())


@pytest.fixture(scope="module")
def bob(app: Flask) -> dict[str, Any]:
    """The same, of another person."""
    return sign_up(app.test_client(), make_person())


@pytest.fixture
def made(client: FlaskClient, ada: dict[str, Any], bob: dict[str, Any]) -> dict[str, Any]:
    """A project of Ada's, with Bob as member."""
    body = {"name": "Engine", "members": [bob["user"]["id"]], "starts_on": "2026-03-01"}
    answer = client.post(PROJECTS, json=body, headers=ada["headers"])
    assert answer.status_code == 201, answer.json
    return {"url": answer.headers["Location"], "json": answer.json, "headers": answer.headers}


@pytest.fixture(scope="module")
def eve(app: Flask) -> dict[str, str]:
    """Headers of a stranger."""
    headers: dict[str, str] = sign_up(app.test_client(), make_person())["headers"]
    return headers


@pytest.fixture
def people(
    ada: dict[str, Any], bob: dict[str, Any], eve: dict[str, str], admin: dict[str, str]
) -> dict[str, dict[str, str]]:
    """Headers, by what they are to Ada's project."""
    return {
        "owner": ada["headers"],
        "member": bob["headers"],
        "stranger": eve,
        "administrator": admin,
        "nobody": {},
    }


def test_what_a_new_one_is(made: dict[str, Any], ada: dict[str, Any], bob: dict[str, Any]) -> None:
    project = made["json"]
    assert {k: v for k, v in project.items() if k not in ("id", "created_at", "updated_at")} == {
        "name": "Engine",
        "description": None,
        "status": "planned",
        "owner": ada["user"]["id"],
        "members": [bob["user"]["id"]],
        "starts_on": "2026-03-01",
        "ends_on": None,
        "version": 1,
    }
    assert made["headers"]["ETag"] == '"1"'


METHODS = (("GET", None), ("PUT", {"name": "A"}), ("PATCH", {"name": "B"}), ("DELETE", None))


@pytest.mark.parametrize(
    ("who", "statuses"),
    [
        ("owner", [200, 200, 200, 204]),
        ("member", [200, 403, 403, 403]),
        ("stranger", [404, 404, 404, 404]),
        ("administrator", [200, 200, 200, 204]),
        ("nobody", [401, 401, 401, 401]),
    ],
)
def test_who_may_do_what(
    client: FlaskClient,
    made: dict[str, Any],
    people: dict[str, dict[str, str]],
    who: str,
    statuses: list[int],
) -> None:
    got = [client.open(made["url"], method=m, json=b, headers=people[who]) for m, b in METHODS]
    assert [answer.status_code for answer in got] == statuses
    gone = client.get(made["url"], headers=people["owner"]).status_code == 404
    assert gone == (204 in statuses)


def test_a_stranger_cannot_tell_it_from_nothing(
    client: FlaskClient, made: dict[str, Any], eve: dict[str, str]
) -> None:
    for method, body in METHODS:
        there = client.open(made["url"], method=method, json=body, headers=eve).json
        nothing = client.open(
            f"{PROJECTS}/{ObjectId()}", method=method, json=body, headers=eve
        ).json
        assert {**there, "request_id": ""} == {**nothing, "request_id": ""}


def test_lists(
    client: FlaskClient, made: dict[str, Any], people: dict[str, dict[str, str]]
) -> None:
    project, of_ada, bobs = (made["json"][name] for name in ("id", "owner", "members"))
    as_member = f"members={bobs[0]}"

    def listed(who: str, query: str = "") -> bool:
        answer = client.get(f"{PROJECTS}?limit=100&{query}", headers=people[who])
        assert answer.status_code == 200, answer.json
        return project in [p["id"] for p in answer.json["items"]]

    assert listed("owner")
    assert not listed("member")
    assert listed("member", as_member)
    assert listed("member", f"{as_member}&owner={of_ada}&status=planned")
    assert not listed("member", f"{as_member}&status=done")
    assert not listed("stranger")
    assert not listed("stranger", as_member)
    assert not listed("stranger", f"owner={of_ada}")
    assert listed("administrator", f"owner={of_ada}")
    assert listed("administrator", as_member)


def test_owners(
    client: FlaskClient, ada: dict[str, Any], bob: dict[str, Any], admin: dict[str, str]
) -> None:
    for_bob = {"name": "X", "owner": bob["user"]["id"]}
    refused = client.post(PROJECTS, json=for_bob, headers=ada["headers"])
    assert refused.status_code == 422
    assert [e["pointer"] for e in refused.json["errors"]] == ["#/owner"]
    own = {"name": "X", "owner": ada["user"]["id"]}
    assert client.post(PROJECTS, json=own, headers=ada["headers"]).status_code == 201
    given = client.post(PROJECTS, json=for_bob, headers=admin)
    assert given.json["owner"] == bob["user"]["id"]
    url = given.headers["Location"]
    assert client.get(url, headers=bob["headers"]).status_code == 200
    for headers in (admin, bob["headers"]):
        moved = client.patch(url, json={"owner": ada["user"]["id"]}, headers=headers)
        assert [e["pointer"] for e in moved.json["errors"]] == ["#/owner"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"status": "lost"}, "#/status"),
        ({"description": "x" * 2001}, "#/description"),
        ({"description": "a\x00b"}, "#/description"),
        ({"members": ["x"]}, "#/members/0"),
        ({"members": ["0" * 24] * 2}, "#/members"),
        ({"members": [f"{n:024x}" for n in range(101)]}, "#/members"),
        ({"members": None}, "#/members"),
        ({"starts_on": "2026-02-30"}, "#/starts_on"),
        ({"starts_on": "2026-03-01T00:00:00Z"}, "#/starts_on"),
        ({"starts_on": 1}, "#/starts_on"),
        ({"starts_on": "2026-03-02", "ends_on": "2026-03-01"}, "#/ends_on"),
        ({"name": None}, "#/name"),
        ({"name": " "}, "#/name"),
        ({"version": 1}, "#/version"),
        ({"$set": {}}, "#/$set"),
    ],
    ids=str,
)
def test_bad_bodies(
    client: FlaskClient, made: dict[str, Any], ada: dict[str, Any], body: Any, pointer: str
) -> None:
    before = client.get(made["url"], headers=ada["headers"]).json
    for method, url, fields in (
        ("POST", PROJECTS, {"name": "X", **body}),
        ("PUT", made["url"], {"name": "X", **body}),
        ("PATCH", made["url"], body),
    ):
        answer = client.open(url, method=method, json=fields, headers=ada["headers"])
        assert answer.status_code == 422, answer.json
        assert {e["pointer"] for e in answer.json["errors"]} == {pointer}
    assert client.get(made["url"], headers=ada["headers"]).json == before


def test_a_member_less_and_a_hundred(client: FlaskClient, ada: dict[str, Any]) -> None:
    many = [f"{n:024x}" for n in range(100)]
    answer = client.post(PROJECTS, json={"name": "X", "members": many}, headers=ada["headers"])
    assert answer.json["members"] == many


def test_one_date_is_checked_against_the_stored_other(
    client: FlaskClient, made: dict[str, Any], ada: dict[str, Any]
) -> None:
    def patch(body: dict[str, Any]) -> Any:
        return client.patch(made["url"], json=body, headers=ada["headers"])

    early = patch({"ends_on": "2026-02-28"})
    assert early.status_code == 409
    assert [e["pointer"] for e in early.json["errors"]] == ["#/ends_on"]
    assert patch({"ends_on": "2026-03-01"}).json["ends_on"] == "2026-03-01"
    late = patch({"starts_on": "2026-03-02"})
    assert [e["pointer"] for e in late.json["errors"]] == ["#/ends_on"]
    assert patch({"starts_on": None, "ends_on": "2020-01-01"}).json["starts_on"] is None
    assert patch({"starts_on": "2020-01-02"}).status_code == 409
    assert patch({"starts_on": "2020-01-02", "ends_on": None}).status_code == 200


def test_dates_changed_at_once_hold_together(
    app: Flask, client: FlaskClient, made: dict[str, Any], ada: dict[str, Any], projects: Documents
) -> None:
    """One moves the start late, the other the end early; either alone is right, both are not."""
    url = made["url"]
    for _ in range(5):
        whole = {"starts_on": "2026-01-01", "ends_on": "2026-12-31"}
        assert client.patch(url, json=whole, headers=ada["headers"]).status_code == 200
        barrier = threading.Barrier(2)

        def patch(body: dict[str, str], barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return app.test_client().patch(url, json=body, headers=ada["headers"]).status_code

        with ThreadPoolExecutor(2) as pool:
            sides = ({"starts_on": "2026-10-01"}, {"ends_on": "2026-02-01"})
            assert sorted(pool.map(patch, sides)) == [200, 409]
        stored = projects.get(ObjectId(made["json"]["id"]))
        assert stored is not None
        assert stored["starts_on"] <= stored["ends_on"]


def test_put_replaces(client: FlaskClient, made: dict[str, Any], ada: dict[str, Any]) -> None:
    full = {"name": "E", "description": "One\r\ntwo", "status": "active", "ends_on": "2027-01-01"}
    got = client.put(made["url"], json=full, headers=ada["headers"]).json
    assert got["description"] == "One\ntwo"
    assert (got["members"], got["starts_on"], got["version"]) == ([], None, 2)
    assert got["owner"] == ada["user"]["id"]
    got = client.put(made["url"], json={"name": "F"}, headers=ada["headers"]).json
    assert (got["description"], got["status"], got["ends_on"]) == (None, "planned", None)
    lacking = client.put(made["url"], json={"status": "done"}, headers=ada["headers"])
    assert [e["pointer"] for e in lacking.json["errors"]] == ["#/name"]
    nowhere = f"{PROJECTS}/{ObjectId()}"
    assert client.put(nowhere, json={"name": "X"}, headers=ada["headers"]).status_code == 404


# --- one shard ----------------------------------------------------------------------------------


@pytest.fixture
def sent(seam: Any) -> Iterator[list[dict[str, Any]]]:
    """The commands this thread sends on projects."""
    commands: list[dict[str, Any]] = []

    def note(name: str, collection: str, command: dict[str, Any]) -> None:
        if collection == "projects" and name in ("find", "findAndModify"):
            commands.append(command)

    with seam.hooked(before=note):
        yield commands


def test_an_owners_projects_are_on_one_shard(
    client: FlaskClient,
    sent: list[dict[str, Any]],
    explain: Callable[[dict[str, Any]], set[str]],
) -> None:
    used: set[str] = set()
    turns = 0
    while turns < 3 or len(used) < 2:  # owners on either shard
        turns += 1
        assert turns < 40, used
        headers = sign_up(client, make_person())["headers"]
        url = client.post(PROJECTS, json={"name": "X"}, headers=headers).headers["Location"]
        sent.clear()
        for query in ("", "?sort=-name&limit=1", "?name[prefix]=X&sort=created_at&status=planned"):
            assert client.get(f"{PROJECTS}{query}", headers=headers).status_code == 200
        assert client.get(url, headers=headers).status_code == 200
        assert client.patch(url, json={"name": "Y"}, headers=headers).status_code == 200
        assert client.patch(url, json={"ends_on": "2026-01-01"}, headers=headers).status_code == 200
        assert client.delete(url, headers=headers).status_code == 204
        assert len(sent) == 8
        shards = [explain(command) for command in sent]
        assert all(len(touched) == 1 for touched in shards), shards
        assert len(set.union(*shards)) == 1
        used |= shards[0]


def test_others_are_asked_for_on_both(
    client: FlaskClient,
    made: dict[str, Any],
    people: dict[str, dict[str, str]],
    sent: list[dict[str, Any]],
    explain: Callable[[dict[str, Any]], set[str]],
) -> None:
    """Else the test above would prove nothing. Writes are for one shard even so."""
    client.get(made["url"], headers=people["member"])
    assert [len(explain(command)) for command in sent] == [1, 2]
    sent.clear()
    assert (
        client.patch(made["url"], json={"name": "Z"}, headers=people["administrator"]).status_code
        == 200
    )
    assert [len(explain(command)) for command in sent] == [2, 1]

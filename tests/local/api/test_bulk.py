"""Import and export: line by line, as streams, under the same claims."""

import json
import secrets
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import requests
from flask.testing import FlaskClient

from api.resources import USERS
from api.settings import Settings
from api.store import Documents, Store, UnavailableError
from api.store.bulk import BATCH, Refused
from tests.helpers.api import RunningServer, make_person

IMPORT, EXPORT = "/api/v1/users/import", "/api/v1/users/export"
NDJSON = "application/x-ndjson"


def person(**more: Any) -> dict[str, Any]:
    made = {k: v for k, v in make_person().items() if k != "password"}
    return {k: v for k, v in (made | more).items() if v is not None}


def encoded(*values: Any) -> bytes:
    return b"".join(
        value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"
        for value in values
    )


def decoded(answer: Any) -> list[Any]:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert answer.mimetype == NDJSON
    return [json.loads(line) for line in answer.data.splitlines()]


def send(client: FlaskClient, admin: dict[str, str], *values: Any) -> list[Any]:
    return decoded(client.post(IMPORT, data=encoded(*values), headers=admin, content_type=NDJSON))


def test_each_line_stands_alone(
    client: FlaskClient, admin: dict[str, str], users: Documents
) -> None:
    good, twin = person(), person()
    *refused, summary = send(
        client,
        admin,
        good,
        b"no json\n",
        b"\n",
        person(email="nobody", name=" "),
        person(role="owner"),
        [1],
        {**person(), "email": good["email"].upper()},
        b'{"x":"' + b"y" * 70_000 + b'"}\n',
        b"\xff\xfe\n",
        twin,
        {**twin, "email": person()["email"]},
    )
    assert summary == {"created": 2, "refused": 8}
    found = {
        report["line"]: (report["status"], sorted(error["pointer"] for error in report["errors"]))
        for report in refused
    }
    assert found == {
        2: (400, ["#"]),
        4: (422, ["#/email", "#/name"]),
        5: (422, ["#/role"]),
        6: (422, ["#"]),
        7: (409, ["#/email"]),
        8: (413, ["#"]),
        9: (400, ["#"]),
        11: (409, ["#/national_id"]),
    }
    made = users.find_unique("email", good["email"])
    assert made is not None
    assert (made["name"], made["role"], made["version"]) == (good["name"], "user", 1)


def test_a_line_takes_no_value_over_from_one_before(conf: Settings) -> None:
    """Not even where the grace time is over before the documents are written."""
    store = Store(msgspec.structs.replace(conf.store_options(), claim_grace=0, deadline=20))
    hasty = USERS.documents(store)
    try:
        one, other = person(), person()
        report = hasty.create_many([one, {**other, "email": one["email"]}])
        made = hasty.find_unique("email", one["email"])
    finally:
        store.close()
    assert (report.created, report.refused) == (1, [Refused(1, "email")])
    assert made is not None
    assert made["national_id"] == one["national_id"]


def test_repeated_it_refuses_what_is_there(client: FlaskClient, admin: dict[str, str]) -> None:
    people = [person() for _ in range(BATCH + 20)]
    assert send(client, admin, *people) == [{"created": len(people), "refused": 0}]
    *refused, summary = send(client, admin, *people, person())
    assert summary == {"created": 1, "refused": len(people)}
    assert [report["line"] for report in refused] == list(range(1, len(people) + 1))
    assert {report["status"] for report in refused} == {409}


def test_a_refused_line_frees_its_claims(
    client: FlaskClient, admin: dict[str, str], store: Store
) -> None:
    taken, late = person(), person()
    send(client, admin, taken)
    report = send(client, admin, {**late, "national_id": taken["national_id"]})
    assert report[-1] == {"created": 0, "refused": 1}
    claim = f"users.email:{late['email']}"
    assert store.collection("claims").count_documents({"_id": claim}) == 0
    assert send(client, admin, late)[-1] == {"created": 1, "refused": 0}


def test_who_may(client: FlaskClient, ada: dict[str, Any], admin: dict[str, str]) -> None:
    body = encoded(person())
    for headers, status in ((None, 401), (ada["headers"], 403)):
        answer = client.post(IMPORT, data=body, headers=headers, content_type=NDJSON)
        assert answer.status_code == status
        assert client.get(EXPORT, headers=headers).status_code == status
    assert client.post(IMPORT, json=person(), headers=admin).status_code == 415
    leads = client.post("/api/v1/leads/import", data=body, headers=admin, content_type=NDJSON)
    assert leads.status_code in (404, 405)


def test_projects_need_an_owner(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    me = ada["user"]["id"]
    lines = encoded({"name": "A", "owner": me}, {"name": "B"}, {"name": "C", "owner": "x"})
    url = "/api/v1/projects/import"
    *refused, summary = decoded(client.post(url, data=lines, headers=admin, content_type=NDJSON))
    assert summary == {"created": 1, "refused": 2}
    assert [report["errors"][0]["pointer"] for report in refused] == ["#/owner", "#/owner"]
    mine: Any = client.get("/api/v1/projects", headers=ada["headers"]).json
    assert [project["name"] for project in mine["items"]] == ["A"]


def test_export(client: FlaskClient, admin: dict[str, str]) -> None:
    mark = secrets.token_hex(4)
    people = [person(name=f"{mark} {n}") for n in range(BATCH + 30)]
    send(client, admin, *people)
    found = decoded(client.get(EXPORT, query_string={"name[prefix]": mark}, headers=admin))
    assert {one["name"] for one in found} == {one["name"] for one in people}
    assert len(found) == len(people)
    assert found[0] == client.get(f"/api/v1/users/{found[0]['id']}", headers=admin).json
    assert client.get(EXPORT, query_string={"limit": 1}, headers=admin).status_code == 422
    assert client.get(EXPORT, query_string={"$where": 1}, headers=admin).status_code == 422


def test_an_export_that_breaks_off_says_so(
    client: FlaskClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    send(client, admin, *(person() for _ in range(BATCH)))
    page, calls = Documents.page, iter([False, True])

    def broken(self: Documents, *arguments: Any, **more: Any) -> Any:
        if next(calls):
            raise UnavailableError("the database did not answer")
        return page(self, *arguments, **more)

    monkeypatch.setattr(Documents, "page", broken)
    *documents, last = decoded(client.get(EXPORT, headers=admin))
    assert len(documents) == 500
    assert set(last) == {"error"}


def test_an_import_without_database_tells_line_by_line(
    client: FlaskClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise UnavailableError("the database did not answer")

    monkeypatch.setattr(Documents, "create_many", broken)
    *refused, summary = send(client, admin, *(person() for _ in range(2 * BATCH + 5)))
    assert summary == {"created": 0, "refused": 2 * BATCH + 5}
    assert {report["status"] for report in refused} == {503}


@pytest.mark.long
def test_the_body_is_a_stream(server: RunningServer, admin: dict[str, str]) -> None:
    """Sent in chunks by a client that reads nothing before it has sent all, every line refused."""
    count = 20_000

    def body() -> Iterator[bytes]:
        for start in range(0, count, 1000):
            yield encoded(*({"n": n} for n in range(start, start + 1000)))

    headers = {**admin, "Content-Type": NDJSON}
    answer = requests.post(server.url + IMPORT, data=body(), headers=headers, timeout=60)
    *refused, summary = [json.loads(line) for line in answer.content.splitlines()]
    assert summary == {"created": 0, "refused": count}
    assert [report["line"] for report in refused] == list(range(1, count + 1))


@pytest.mark.long
@pytest.mark.core
def test_a_client_that_goes_away(
    server: RunningServer, client: FlaskClient, admin: dict[str, str], users: Documents
) -> None:
    """What is whole was created, and stays; the import can be repeated."""
    people = [person() for _ in range(BATCH + 10)]
    body = encoded(*people)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"POST {IMPORT} HTTP/1.1\r\nHost: x\r\nContent-Type: {NDJSON}\r\n"
        head += (
            f"Authorization: {admin['Authorization']}\r\nContent-Length: {len(body) + 9}\r\n\r\n"
        )
        connection.sendall(head.encode() + body + b'{"na')
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(20)
        answer = b""
        while b"created before" not in answer and (more := connection.recv(65536)):
            answer += more
    assert answer.startswith(b"HTTP/1.1 400")
    assert f"{BATCH}".encode() in answer or f"{len(people)}".encode() in answer
    *refused, summary = send(client, admin, *people)
    assert summary["created"] + summary["refused"] == len(people)
    assert len(refused) >= BATCH
    assert all(users.find_unique("email", one["email"]) for one in people[:3])


@pytest.mark.parametrize("media", [NDJSON, "application/ndjson", "Application/JSONL"])
def test_usual_names_and_a_mark_at_the_beginning(
    client: FlaskClient, admin: dict[str, str], media: str
) -> None:
    data = b"\xef\xbb\xbf" + encoded(person())
    answer = client.post(IMPORT, data=data, headers=admin, content_type=media)
    assert decoded(answer) == [{"created": 1, "refused": 0}]
    refused = client.post(IMPORT, data=data, headers=admin, content_type="application/json")
    assert refused.status_code == 415


def exported(client: FlaskClient, admin: dict[str, str], url: str, filters: str) -> list[Any]:
    return decoded(client.get(f"{url}/export?{filters}", headers=admin))


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


@pytest.mark.parametrize("ids", ["keep", "new"])
def test_a_round_trip(client: FlaskClient, admin: dict[str, str], ids: str) -> None:
    """What was exported is imported where it is missing, and refused where it is."""
    mark = f"Trip {secrets.token_hex(6)}"
    send(client, admin, *(person(name=f"{mark} {n}", phone=None) for n in range(3)))
    before = exported(client, admin, "/api/v1/users", f"name[prefix]={mark}")
    first, second = before[0], before[1]
    client.patch(f"/api/v1/users/{first['id']}", json={"disabled": True}, headers=admin)
    client.patch(f"/api/v1/users/{second['id']}", json={"role": "admin"}, headers=admin)
    before = exported(client, admin, "/api/v1/users", f"name[prefix]={mark}")
    lines = encoded(*before)

    def imported() -> list[Any]:
        url = f"{IMPORT}?ids={ids}"
        return decoded(client.post(url, data=lines, headers=admin, content_type=NDJSON))

    *refused, summary = imported()  # into a filled one
    assert summary == {"created": 0, "refused": 3}
    pointer = "#/id" if ids == "keep" else "#/email"
    assert [(r["line"], r["status"], r["errors"][0]["pointer"]) for r in refused] == [
        (n, 409, pointer) for n in (1, 2, 3)
    ]
    for one in before[:2]:
        client.delete(f"/api/v1/users/{one['id']}", headers=admin)
    *refused, summary = imported()  # into one that lacks some
    assert summary == {"created": 2, "refused": 1}
    after = exported(client, admin, "/api/v1/users", f"name[prefix]={mark}")
    if ids == "keep":
        assert [one["id"] for one in after] == [one["id"] for one in before]
    changing = ("id", "version", "created_at", "updated_at")
    shown = sorted((without(one, *changing) for one in after), key=lambda one: one["name"])
    assert shown == [without(one, *changing) for one in before]


def test_a_round_trip_of_what_has_an_owner(
    client: FlaskClient, admin: dict[str, str], bob: dict[str, Any]
) -> None:
    url, owner = "/api/v1/projects", bob["user"]["id"]
    body = {"name": "Trip", "starts_on": "2026-01-31", "members": [secrets.token_hex(12)]}
    made = client.post(url, json=body, headers=bob["headers"]).json
    [before] = exported(client, admin, url, f"owner={owner}")
    client.delete(f"{url}/{made['id']}", headers=bob["headers"])
    answer = client.post(
        f"{url}/import?ids=keep", data=encoded(before), headers=admin, content_type=NDJSON
    )
    assert decoded(answer) == [{"created": 1, "refused": 0}]
    [after] = exported(client, admin, url, f"owner={owner}")
    assert without(after, "created_at", "updated_at") == without(before, "created_at", "updated_at")


def test_ids_that_are_to_be_kept(client: FlaskClient, admin: dict[str, str]) -> None:
    twin = secrets.token_hex(12)
    lines = encoded(person(), person(id="x"), person(id=twin), person(id=twin))
    url = f"{IMPORT}?ids=keep"
    *refused, summary = decoded(client.post(url, data=lines, headers=admin, content_type=NDJSON))
    assert summary == {"created": 1, "refused": 3}
    assert {r["line"]: (r["status"], r["errors"][0]["pointer"]) for r in refused} == {
        1: (422, "#/id"),
        2: (422, "#/id"),
        4: (409, "#/id"),
    }
    other = client.post(f"{IMPORT}?ids=old", data=lines, headers=admin, content_type=NDJSON)
    assert other.status_code == 422

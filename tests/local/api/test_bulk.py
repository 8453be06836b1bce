"""Import and export: line by line, as streams, under the same claims."""

import json
import secrets
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from api.store import Documents, Store, UnavailableError
from api.store.bulk import BATCH
from tests.local.api.conftest import RunningServer, make_person

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
        person(role="admin"),
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

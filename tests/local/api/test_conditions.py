"""ETag, If-Match, If-None-Match on the cluster; of changes with one ETag, exactly one succeeds."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from tests.helpers.api import make_person, sign_up

PROJECTS = "/api/v1/projects"


@pytest.fixture(scope="module")
def owner(app: Flask) -> dict[str, Any]:
    return sign_up(app.test_client(), make_person())


@pytest.fixture
def url(client: FlaskClient, owner: dict[str, Any]) -> str:
    """A project at version 2."""
    made = client.post(PROJECTS, json={"name": "X"}, headers=owner["headers"])
    where = made.headers["Location"]
    assert client.patch(where, json={"name": "Y"}, headers=owner["headers"]).status_code == 200
    return where


def test_the_tag_is_the_version(client: FlaskClient, owner: dict[str, Any], url: str) -> None:
    got = client.get(url, headers=owner["headers"])
    assert (got.headers["ETag"], got.json["version"]) == ('"2"', 2)
    for method, body in (("PATCH", {"name": "Z"}), ("PUT", {"name": "Z"})):
        changed = client.open(url, method=method, json=body, headers=owner["headers"])
        assert changed.headers["ETag"] == f'"{changed.json["version"]}"'
    own = client.get(owner["url"], headers=owner["headers"])
    assert own.headers["ETag"] == f'"{own.json["version"]}"'


def test_a_reader_who_has_it_already(client: FlaskClient, owner: dict[str, Any], url: str) -> None:
    for address in (url, owner["url"]):
        tag = client.get(address, headers=owner["headers"]).headers["ETag"]
        for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            got = client.get(address, headers={**owner["headers"], "If-None-Match": given})
            assert (got.status_code, got.data, got.headers["ETag"]) == (304, b"", tag)
        other = client.get(address, headers={**owner["headers"], "If-None-Match": '"999"'})
        assert other.status_code == 200


CHANGES = (("PATCH", {"name": "Z"}), ("PATCH", {"starts_on": "2026-01-01"}), ("PATCH", {}),
           ("PUT", {"name": "Z"}), ("DELETE", None))  # fmt: skip


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": '"1"'},
        {"If-Match": '"3"'},
        {"If-Match": 'W/"2"'},
        {"If-Match": '"x", "02"'},
        {"If-None-Match": '"2"'},
        {"If-None-Match": 'W/"2"'},
        {"If-None-Match": "*"},
        {"If-Match": '"2"', "If-None-Match": '"2"'},
    ],
    ids=str,
)
def test_conditions_that_fail(
    client: FlaskClient, owner: dict[str, Any], url: str, headers: dict[str, str]
) -> None:
    for method, body in CHANGES:
        answer = client.open(url, method=method, json=body, headers={**owner["headers"], **headers})
        assert answer.status_code == 412, (method, answer.json)
        assert answer.mimetype == "application/problem+json"
        nothing = client.open(
            f"{PROJECTS}/{ObjectId()}",
            method=method,
            json=body,
            headers={**owner["headers"], **headers},
        )
        assert nothing.status_code == 404  # what is not there has no version to be at
    assert client.get(url, headers=owner["headers"]).json["version"] == 2


@pytest.mark.parametrize(
    "headers",
    [{"If-Match": '"2"'}, {"If-Match": '"1", "2"'}, {"If-Match": "*"}, {"If-None-Match": '"1"'}],
    ids=str,
)
def test_conditions_that_hold(
    client: FlaskClient, owner: dict[str, Any], url: str, headers: dict[str, str]
) -> None:
    for method, body in (CHANGES[2], CHANGES[1]):
        answer = client.open(url, method=method, json=body, headers={**owner["headers"], **headers})
        assert answer.status_code == 200


def test_conditions_on_deletion(client: FlaskClient, owner: dict[str, Any], url: str) -> None:
    answer = client.delete(url, headers={**owner["headers"], "If-Match": '"2"'})
    assert answer.status_code == 204


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("given", ["2", '"2', "", "*, *", "'2'", "\xff"])
def test_malformed_conditions(
    client: FlaskClient, owner: dict[str, Any], url: str, header: str, given: str
) -> None:
    for method, body in (*CHANGES, ("GET", None)):
        answer = client.open(
            url, method=method, json=body, headers={**owner["headers"], header: given}
        )
        assert answer.status_code == 400
        assert header in answer.json["detail"]
    assert client.get(url, headers=owner["headers"]).json["version"] == 2


@pytest.mark.parametrize("kind", ["project", "unique field"])
def test_of_changes_with_one_tag_exactly_one_succeeds(
    app: Flask, client: FlaskClient, owner: dict[str, Any], url: str, kind: str
) -> None:
    address = url if kind == "project" else owner["url"]
    for _ in range(4):
        tag = client.get(address, headers=owner["headers"]).headers["ETag"]
        barrier = threading.Barrier(8)

        def change(
            number: int, tag: str = tag, barrier: threading.Barrier = barrier
        ) -> tuple[int, str]:
            mark = f"N {ObjectId()} {number}".upper()
            body = {"name": mark} if kind == "project" else {"national_id": mark}
            barrier.wait()
            answer = app.test_client().patch(
                address, json=body, headers={**owner["headers"], "If-Match": tag}
            )
            return answer.status_code, mark

        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(change, range(8)))
        assert Counter(status for status, _ in done) == {200: 1, 412: 7}
        stored = client.get(address, headers=owner["headers"]).json
        assert dict(done)[200] in (stored["name"], stored.get("national_id"))
        assert stored["version"] == int(tag.strip('"')) + 1


@pytest.mark.parametrize("media", ["application/json", "application/merge-patch+json"])
def test_merge_patch(client: FlaskClient, owner: dict[str, Any], url: str, media: str) -> None:
    sent = b'{"description": "D", "starts_on": "2026-01-01"}'
    assert client.patch(url, data=sent, content_type=media, headers=owner["headers"]).json[
        "description"
    ]
    gone = client.patch(
        url, data=b'{"description": null}', content_type=media, headers=owner["headers"]
    )
    assert (gone.json["description"], gone.json["starts_on"]) == (None, "2026-01-01")


def test_other_media_are_refused(client: FlaskClient, owner: dict[str, Any], url: str) -> None:
    for method, media in (
        ("PATCH", "application/json-patch+json"),
        ("PUT", "application/merge-patch+json"),
        ("POST", "application/merge-patch+json"),
    ):
        address = PROJECTS if method == "POST" else url
        answer = client.open(
            address, method=method, data=b"{}", content_type=media, headers=owner["headers"]
        )
        assert answer.status_code == 415


def test_what_a_read_and_a_change_cost(
    client: FlaskClient, owner: dict[str, Any], url: str, seam: Any
) -> None:
    """The gate reads who asks; that is the answer already where people read themselves."""

    def commands(method: str, address: str, body: Any = None) -> list[tuple[str, str]]:
        sent: list[tuple[str, str]] = []
        with seam.hooked(before=lambda name, collection, _c: sent.append((name, collection))):
            answer = client.open(address, method=method, json=body, headers=owner["headers"])
            assert answer.status_code == 200
        return sent

    who = ("find", "users")
    assert commands("GET", owner["url"]) == [who]
    assert commands("GET", url) == [who, ("find", "projects")]
    assert commands("GET", f"{PROJECTS}?limit=100") == [who, ("find", "projects")]
    assert commands("PATCH", url, {"name": "Z"}) == [who, ("findAndModify", "projects")]
    assert commands("PUT", url, {"name": "Z"}) == [who, ("findAndModify", "projects")]


def test_a_patch_of_another_type_is_told_which(client: FlaskClient, ada: dict[str, Any]) -> None:
    """RFC 5789, 3.1 and 2.2."""
    headers = {**ada["headers"], "Content-Type": "application/json-patch+json"}
    answer = client.patch(ada["url"], data=b"[]", headers=headers)
    assert answer.status_code == 415
    assert answer.headers["Accept-Patch"] == "application/json, application/merge-patch+json"
    assert "Accept-Patch" not in client.put(ada["url"], data=b"[]", headers=headers).headers

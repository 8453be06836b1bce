"""A request that a proxy sends a second time, as its first replica died, is answered as the first.

The two tries carry one name, `X-Proxy-Request`, which only a trusted proxy may give.
"""

import secrets
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from api.settings import Settings
from api.store import Store
from tests.helpers.api import log_in, make_person, sign_up
from tests.local.api.test_leads import form, register

PROJECTS = "/api/v1/projects"
REFRESH = "/api/v1/auth/refresh"
Headers = dict[str, str]


@pytest.fixture(scope="module")
def behind(conf: Settings, store: Store) -> Iterator[Flask]:
    """The app behind a trusted proxy; the test client's peer address is 127.0.0.1."""
    app = create_app(
        msgspec.structs.replace(
            conf, database_uri=store.options.uri, trusted_proxies="127.0.0.1/32"
        )
    )
    yield app
    app.extensions["store"].close()


@pytest.fixture(scope="module")
def owner(behind: Flask) -> dict[str, Any]:
    return sign_up(behind.test_client(), make_person())


@pytest.fixture
def client(behind: Flask) -> FlaskClient:
    """The proxy."""
    return behind.test_client()


@pytest.fixture
def me(owner: dict[str, Any]) -> Headers:
    found: Headers = owner["headers"]
    return found


@pytest.fixture
def url(client: FlaskClient, me: Headers) -> str:
    """A project at version 1."""
    return client.post(PROJECTS, json={"name": "X"}, headers=me).headers["Location"]


def named(headers: Headers, **more: str) -> Headers:
    """As the proxy sends it, under a new name."""
    given = {name.replace("_", "-"): text for name, text in more.items()}
    return {**headers, "X-Proxy-Request": str(uuid.uuid4()), **given}


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_change(client: FlaskClient, me: Headers, url: str, method: str) -> None:
    headers = named(me, If_Match='"1"')
    first = client.open(url, method=method, json={"name": "Y"}, headers=headers)
    again = client.open(url, method=method, json={"name": "Y"}, headers=headers)
    assert first.status_code == again.status_code == 200
    assert first.json == again.json
    assert again.headers["ETag"] == '"2"'


def test_a_change_that_was_overtaken_meanwhile(client: FlaskClient, me: Headers, url: str) -> None:
    """The answer is the document as it is now; nothing of the other change is lost."""
    headers = named(me, If_Match='"1"')
    client.patch(url, json={"name": "Y"}, headers=headers)
    client.patch(url, json={"description": "other"}, headers=named(me, If_Match='"2"'))
    again = client.patch(url, json={"name": "Y"}, headers=headers)
    assert again.status_code == 200
    assert (again.json["version"], again.json["description"]) == (3, "other")


def test_another_request_is_no_repetition(client: FlaskClient, me: Headers, url: str) -> None:
    headers = named(me, If_Match='"1"')
    client.patch(url, json={"name": "Y"}, headers=headers)
    for other in (named(me, If_Match='"1"'), {**me, "If-Match": '"1"'}):
        assert client.patch(url, json={"name": "Y"}, headers=other).status_code == 412
    assert client.patch(url, json={"name": "Z"}, headers=headers).status_code == 412
    assert client.delete(url, headers=headers).status_code == 412


def test_a_state(client: FlaskClient, admin: Headers) -> None:
    """Also where the change itself has ended what it required."""
    where = register(client, form()).headers["Location"]
    headers = named(admin, If_Match='"1"')
    first = client.patch(where, json={"state": "reached_out"}, headers=headers)
    again = client.patch(where, json={"state": "reached_out"}, headers=headers)
    assert (first.status_code, first.json) == (200, again.json)
    other = client.patch(where, json={"state": "reached_out"}, headers=named(admin))
    assert other.status_code == 409


@pytest.mark.parametrize("match", [{}, {"If_Match": '"1"'}])
def test_a_deletion(client: FlaskClient, me: Headers, url: str, match: Headers) -> None:
    headers = named(me, **match)
    assert client.delete(url, headers=headers).status_code == 204
    assert client.delete(url, headers=headers).status_code == 204
    assert client.delete(url, headers=named(me, **match)).status_code == 404
    assert client.get(url, headers=me).status_code == 404
    shown = client.get(f"{PROJECTS}?limit=100", headers=me).json["items"]
    assert url.rpartition("/")[2] not in {one["id"] for one in shown}


def test_an_administrators_deletion(client: FlaskClient, admin: Headers, url: str) -> None:
    headers = named(admin)
    assert client.delete(url, headers=headers).status_code == 204
    assert client.delete(url, headers=headers).status_code == 204
    assert client.delete(url, headers=named(admin)).status_code == 404


def test_the_shown_document_has_no_marks(client: FlaskClient, me: Headers, url: str) -> None:
    shown = client.patch(url, json={"name": "Y"}, headers=named(me)).json
    assert set(shown) == set(client.get(url, headers=me).json)
    assert "marks" not in shown


def test_a_refresh(client: FlaskClient, owner: dict[str, Any]) -> None:
    """It is no replay; the same token under another name is, and ends the session."""
    body = {"email": owner["person"]["email"], "password": owner["person"]["password"]}
    token = client.post("/api/v1/auth/login", json=body).json["refresh_token"]
    headers = named({"Authorization": f"Bearer {token}"})
    answers = [client.post(REFRESH, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    last = {"Authorization": f"Bearer {answers[1].json['refresh_token']}"}
    assert client.post(REFRESH, headers=named(last)).status_code == 200
    assert client.post(REFRESH, headers=headers).status_code == 401  # used up by now
    assert client.post(REFRESH, headers=named(last)).status_code == 401


def test_a_creation_whose_first_worker_is_given_up(
    client: FlaskClient, me: Headers, seam: Any
) -> None:
    """No waiting for the lease: the second try fences the first one and creates."""
    headers = named(me, Idempotency_Key=secrets.token_hex(8))
    tries: list[int] = []

    def give_up(name: str, collection: str, _command: dict[str, Any]) -> None:
        if (name, collection) == ("insert", "projects") and not tries:
            tries.append(0)  # the first worker stands still here, before its document is written
            again = client.application.test_client().post(
                PROJECTS, json={"name": "once"}, headers=headers
            )
            tries.append(again.status_code)

    with seam.hooked(before=give_up):
        first = client.post(PROJECTS, json={"name": "once"}, headers=headers)
    assert tries == [0, 201]
    assert first.status_code == 503  # overtaken; nobody sees it
    shown = client.get(f"{PROJECTS}?limit=100", headers=me).json["items"]
    assert sum(one["name"] == "once" for one in shown) == 1


def test_a_consumers_own_repetition_waits_its_turn(
    client: FlaskClient, me: Headers, seam: Any
) -> None:
    """Nobody has given the first try up; and the name means nothing from an untrusted peer."""
    key = secrets.token_hex(8)
    seen: list[int] = []
    given = named(me, Idempotency_Key=key)
    stranger = {"REMOTE_ADDR": "192.0.2.7"}

    def again(name: str, collection: str, _command: dict[str, Any]) -> None:
        if (name, collection) == ("insert", "projects") and not seen:
            seen.append(0)
            other = client.application.test_client()
            for headers, environ in ((named(me, Idempotency_Key=key), {}), (given, stranger)):
                answer = other.post(
                    PROJECTS, json={"name": "K"}, headers=headers, environ_overrides=environ
                )
                seen.append(answer.status_code)

    with seam.hooked(before=again):
        assert client.post(PROJECTS, json={"name": "K"}, headers=given).status_code == 201
    assert seen == [0, 409, 409]


def test_a_stranger_cannot_name_its_requests(client: FlaskClient, me: Headers, url: str) -> None:
    headers, stranger = named(me, If_Match='"1"'), {"REMOTE_ADDR": "192.0.2.7"}
    found = [
        client.patch(url, json={"name": "Y"}, headers=headers, environ_overrides=stranger)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in found] == [200, 412]


def test_what_a_deletion_leaves_goes(store: Store) -> None:
    """By an index of its own, which holds nothing but that."""
    index = store.collection("projects").index_information()["deleted_1"]
    assert (index["expireAfterSeconds"], index["sparse"]) == (3600, True)


def test_log_in_again(client: FlaskClient, owner: dict[str, Any]) -> None:
    """Two sessions, of which one is used: a log-in may be repeated as it is."""
    assert log_in(client, owner["person"]["email"]) != log_in(client, owner["person"]["email"])

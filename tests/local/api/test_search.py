"""Search as people search: capitals and accents make no difference, however a text was written."""

import secrets
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from api import schema
from api.resources.projects import PROJECTS as DECLARED
from api.store import Store
from api.store.deadline import deadline
from api.store.document import fresh
from tests.helpers.api import make_person, sign_up

PROJECTS, USERS = "/api/v1/projects", "/api/v1/users"
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def me(client: FlaskClient) -> dict[str, Any]:
    """Somebody new, with no project yet."""
    return sign_up(client, make_person())


def names(client: FlaskClient, headers: dict[str, str], query: str, at: str = PROJECTS) -> Any:
    answer = client.get(f"{at}?{query}", headers=headers)
    assert answer.status_code == 200, answer.json
    assert answer.json is not None
    return [one["name"] for one in answer.json["items"]]


def test_a_text_is_found_however_it_was_written(
    client: FlaskClient, admin: dict[str, str], me: dict[str, Any]
) -> None:
    headers = me["headers"]
    made = client.post(PROJECTS, json={"name": "Café Olé"}, headers=headers)
    assert "name_folded" not in made.json
    url = made.headers["Location"]
    assert names(client, headers, "name[prefix]=CAFE O") == ["Café Olé"]
    client.patch(url, json={"name": "Łódź"}, headers=headers)
    assert names(client, headers, "name[prefix]=cafe") == []
    assert names(client, headers, "name[prefix]=lodz") == ["Łódź"]
    client.patch(url, json={"description": "x"}, headers=headers)
    assert names(client, headers, "name[prefix]=lodz") == ["Łódź"]
    client.put(url, json={"name": "Über"}, headers=headers)
    assert names(client, headers, "name[prefix]=lodz") == []
    assert names(client, headers, "name[prefix]=ub") == ["Über"]
    line = f'{{"name": "Ünter", "owner": "{me["user"]["id"]}"}}\n'
    report = client.post(f"{PROJECTS}/import", data=line, headers={**admin, **NDJSON})
    assert b'"created":1' in report.data
    assert names(client, headers, "name[prefix]=UN") == ["Ünter"]


def test_people_are_found(client: FlaskClient, admin: dict[str, str]) -> None:
    """Who signed up, and who was created by an administrator."""
    mark = secrets.token_hex(4)
    for n, name in enumerate((f"Ádám {mark}", f"adam {mark.upper()}")):
        person = {**make_person(), "name": name}
        answer = (
            client.post("/api/v1/auth/signup", json=person)
            if n
            else client.post(USERS, json=person, headers=admin)
        )
        assert answer.status_code == 201, answer.json
    found = names(client, admin, f"name[prefix]=Adam {mark}&sort=name", USERS)
    assert found == [f"Ádám {mark}", f"adam {mark.upper()}"]
    assert names(client, admin, f"name=adam {mark}", USERS) == []  # the whole text is as it is


@pytest.mark.parametrize("fields", ["", "&fields=name", "&fields=status"])
def test_the_order_is_that_of_people(client: FlaskClient, me: dict[str, Any], fields: str) -> None:
    """Page by page; what is shown is what was asked for."""
    headers, seen = me["headers"], []
    wanted = ["apple", "Äpple pie", "Banana", "éclair", "Zebra", "zebra"]
    ids = {}
    for name in sorted(wanted, reverse=True):
        made = client.post(PROJECTS, json={"name": name}, headers=headers).json
        ids[made["id"]] = name
    order = sorted(ids, key=lambda one: (wanted.index(ids[one].replace("Z", "z")), one))
    for way, expected in (("", order), ("-", order[::-1])):
        seen, after = [], ""
        while True:
            page = client.get(f"{PROJECTS}?sort={way}name&limit=2{fields}{after}", headers=headers)
            assert page.json is not None
            seen += [one["id"] for one in page.json["items"]]
            assert not any("name_folded" in one for one in page.json["items"])
            if page.json["next"] is None:
                break
            after = f"&after={page.json['next']}"
        assert seen == expected


def test_exports_have_no_keys(client: FlaskClient, admin: dict[str, str]) -> None:
    answer = client.get(f"{USERS}/export", headers=admin)
    assert b"_folded" not in answer.data


def test_texts_of_before_get_their_keys(client: FlaskClient, store: Store) -> None:
    """Of documents that were written when nobody searched for this field: the schema mends them."""
    me = sign_up(client, make_person())
    owner = ObjectId(me["user"]["id"])
    given = {"status": "planned", "members": [], "owner": owner}
    old = [fresh({**given, "name": f"Éa {n:04}"}, ObjectId()) for n in range(1500)]
    documents = DECLARED.documents(store).collection
    documents.insert_many(old)
    query = "name[prefix]=ea&sort=name&limit=2"
    assert names(client, me["headers"], query) == []
    with deadline(60):
        lines = schema.apply(store)
        assert [one for one in lines if one.endswith("search keys given to 1500 texts")], lines
        assert all(one.endswith("already") for one in schema.apply(store))
    assert names(client, me["headers"], query) == ["Éa 0000", "Éa 0001"]
    found = documents.find_one({"_id": old[0]["_id"], "owner": owner})
    assert found == {**old[0], "name_folded": "ea 0000"}  # its version and times are as they were
    documents.delete_many({"owner": owner})

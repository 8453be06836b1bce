"""Users by HTTP: who sees and changes what, pages, conflicts, normal forms."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from api.settings import Settings
from api.store import Documents

USERS = "/api/v1/users"


def test_own_document(client: FlaskClient, ada: dict[str, Any]) -> None:
    url, own = ada["url"], ada["headers"]
    assert client.get(url, headers=own).json == ada["user"]
    changed = client.patch(url, json={"occupation": "Countess", "phone": None}, headers=own)
    assert changed.status_code == 200
    expected = {**ada["user"], "occupation": "Countess", "phone": None, "version": 2}
    assert {k: v for k, v in changed.json.items() if k != "updated_at"} == {
        k: v for k, v in expected.items() if k != "updated_at"
    }
    before, after = (
        datetime.fromisoformat(one["updated_at"]) for one in (ada["user"], changed.json)
    )
    assert after > before
    assert client.get(url, headers=own).json == changed.json
    assert client.delete(url, headers=own).status_code == 204


def test_normal_forms(client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]) -> None:
    sent = {
        "name": "  Ada   King ",
        "email": "ADA." + ada["user"]["id"] + "@Example.COM",
        "phone": "+44 (20) 7946-0018",
        "national_id": "ab-" + ada["user"]["id"],
    }
    got = client.patch(ada["url"], json=sent, headers=admin).json
    assert got["name"] == "Ada King"
    assert got["email"] == sent["email"].lower()
    assert got["phone"] == "+442079460018"
    assert got["national_id"] == sent["national_id"].upper()


TEXTS = [
    "\u0958" * 100,  # composed of two characters for ever
    "e\u0301" * 200,
    "\u1100\u1161\u11a8" * 200,
    "Ada \u202eLovelace\u200b",
    "👨\u200d👩\u200d👧 1\ufe0f\u20e3 🇩🇪 \U0001fae9",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "葛\U000e0100飾 \U00031350",
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:3]))
def test_what_is_shown_can_be_sent_back(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any], text: str
) -> None:
    sent = {"name": text, "address": f" {text}\t", "phone": "+49 (0)30 1234567 ext. 7"}
    got = client.patch(ada["url"], json=sent, headers=admin)
    assert got.status_code == 200, got.json
    assert got.json["phone"] == "+49301234567;ext=7"
    assert not set("\u202e\u200b\t") & set(got.json["name"] + got.json["address"])
    shown = {k: v for k, v in got.json.items() if k in client_editable(client)}
    again = client.put(ada["url"], json=shown, headers=admin)
    assert again.status_code == 200, again.json
    assert {k: again.json[k] for k in shown} == shown
    found = client.get(
        USERS, query_string={"name": text, "email": got.json["email"]}, headers=admin
    )
    assert [one["id"] for one in found.json["items"]] == [got.json["id"]]


def client_editable(client: FlaskClient) -> set[str]:
    """The fields that administrators may replace, as the description says."""
    schemas = client.get("/api/v1/openapi.json").json["components"]["schemas"]
    return set(schemas["UserReplacementByAdmin"]["properties"])


@pytest.mark.parametrize(
    "text", ["\u200b", "\u3164", "\u2800", "\u0301", "\ufeff", "a\x9b", "a\nb"]
)
def test_names_that_nobody_can_see_or_that_do_something(
    client: FlaskClient, ada: dict[str, Any], text: str
) -> None:
    for field in ("name", "address", "occupation"):
        answer = client.patch(ada["url"], json={field: text}, headers=ada["headers"])
        assert [one["pointer"] for one in answer.json["errors"]] == [f"#/{field}"]


def test_an_internationalised_domain_is_one_claim(
    client: FlaskClient, admin: dict[str, str], another: Callable[[], dict[str, str]]
) -> None:
    """Whether it is written in letters, decomposed ones, or in its ASCII form."""
    local = f"ana.{ObjectId()}"
    shapes = [
        f"{local}@{d}" for d in ("bücher.example", "BU\u0308CHER.example", "xn--bcher-kva.example")
    ]
    person = {**another(), "email": shapes[0]}
    made = client.post("/api/v1/auth/signup", json=person)
    assert made.status_code == 201
    assert made.json["email"] == shapes[2]
    for email in shapes:
        clash = client.post("/api/v1/auth/signup", json={**another(), "email": email})
        assert [one["pointer"] for one in clash.json["errors"]] == ["#/email"]
        assert clash.status_code == 409
        login = {"email": email, "password": person["password"]}
        assert client.post("/api/v1/auth/login", json=login).status_code == 200
        found = client.get(USERS, query_string={"email": email}, headers=admin).json["items"]
        assert [one["id"] for one in found] == [made.json["id"]]
    answer = client.post("/api/v1/auth/signup", json={**another(), "email": f"ü{shapes[2]}"})
    assert "ASCII letters before the @" in answer.json["errors"][0]["detail"]


def test_no_letter_of_a_national_id_becomes_another(
    client: FlaskClient, another: Callable[[], dict[str, str]]
) -> None:
    for text in ("stra\xdfe1", "\u0131d12", "\u017f123", "\ufb01123", "\u212a123", "\uff11234"):
        answer = client.post("/api/v1/auth/signup", json={**another(), "national_id": text})
        assert answer.status_code == 422
        assert [one["pointer"] for one in answer.json["errors"]] == ["#/national_id"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_others_do_not_exist(
    client: FlaskClient, ada: dict[str, Any], bob: dict[str, Any], method: str
) -> None:
    body = {"name": "Mallory"} if method == "PATCH" else None
    answer = client.open(bob["url"], method=method, json=body, headers=ada["headers"])
    nobody = client.open(f"{USERS}/{ObjectId()}", method=method, json=body, headers=ada["headers"])
    assert (answer.status_code, nobody.status_code) == (404, 404)
    assert answer.json["detail"] == nobody.json["detail"]
    assert client.get(bob["url"], headers=bob["headers"]).json == bob["user"]


def test_users_may_not_list_or_create(
    client: FlaskClient, ada: dict[str, Any], person: dict[str, str]
) -> None:
    assert client.get(USERS, headers=ada["headers"]).status_code == 403
    assert client.post(USERS, json=person, headers=ada["headers"]).status_code == 403


def test_administrators_may(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    url = ada["url"]
    assert client.get(url, headers=admin).json == ada["user"]
    assert client.patch(url, json={"name": "A"}, headers=admin).json["name"] == "A"
    assert client.delete(url, headers=admin).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        body = {} if method == "PATCH" else None
        assert client.open(url, method=method, json=body, headers=admin).status_code == 404


@pytest.mark.parametrize(
    "field", ["role", "_id", "id", "password_hash", "version", "sessions", "$set"]
)
def test_fields_that_are_not_theirs(
    client: FlaskClient,
    admin: dict[str, str],
    ada: dict[str, Any],
    person: dict[str, str],
    field: str,
) -> None:
    person["email"] = f"x{person['email']}"
    for method, url, headers, body in (
        ("POST", "/api/v1/auth/signup", None, person),
        ("POST", USERS, admin, person),
        ("PATCH", ada["url"], ada["headers"], {}),
        ("PATCH", ada["url"], admin, {}),
    ):
        if field == "role" and method == "PATCH" and headers is admin:
            continue  # that is how administrators are made
        answer = client.open(url, method=method, headers=headers, json={**body, field: "admin"})
        assert answer.status_code == 422
        assert [e["pointer"] for e in answer.json["errors"]] == [f"#/{field}"]


def test_users_cannot_disable_themselves(client: FlaskClient, ada: dict[str, Any]) -> None:
    answer = client.patch(ada["url"], json={"disabled": True}, headers=ada["headers"])
    assert [e["pointer"] for e in answer.json["errors"]] == ["#/disabled"]


@pytest.mark.parametrize("field", ["email", "national_id"])
def test_taken_values(  # noqa: PLR0917 - fixtures
    client: FlaskClient,
    admin: dict[str, str],
    ada: dict[str, Any],
    bob: dict[str, Any],
    another: Callable[[], dict[str, str]],
    field: str,
) -> None:
    taken = {field: bob["user"][field].lower()}
    for answer in (
        client.post("/api/v1/auth/signup", json={**another(), **taken}),
        client.patch(ada["url"], json=taken, headers=admin),
    ):
        assert answer.status_code == 409
        assert [e["pointer"] for e in answer.json["errors"]] == [f"#/{field}"]


def test_a_refused_signup_leaves_no_claim(
    client: FlaskClient, bob: dict[str, Any], person: dict[str, str]
) -> None:
    clash = {**person, "national_id": bob["user"]["national_id"]}
    assert client.post("/api/v1/auth/signup", json=clash).status_code == 409
    assert client.post("/api/v1/auth/signup", json=person).status_code == 201


def test_a_changed_address_is_free_and_the_new_one_works(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any], person: dict[str, str]
) -> None:
    old, new = ada["user"]["email"], f"new.{ada['user']['email']}"
    answer = client.patch(ada["url"], json={"email": new}, headers=admin)
    assert answer.json["email"] == new
    login = {"password": ada["person"]["password"]}
    assert client.post("/api/v1/auth/login", json={**login, "email": old}).status_code == 401
    assert client.post("/api/v1/auth/login", json={**login, "email": new}).status_code == 200
    fresh = {**person, "email": old, "national_id": person["national_id"] + "X"}
    assert client.post("/api/v1/auth/signup", json=fresh).status_code == 201


def test_a_half_refused_change_changes_nothing(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any], bob: dict[str, Any]
) -> None:
    wish = f"wish.{ada['user']['email']}"
    both = {"email": wish, "national_id": bob["user"]["national_id"]}
    assert client.patch(ada["url"], json=both, headers=admin).status_code == 409
    assert client.get(ada["url"], headers=ada["headers"]).json["email"] == ada["user"]["email"]
    answer = client.patch(bob["url"], json={"email": wish}, headers=admin)
    assert answer.status_code == 200


def test_sending_the_same_address_is_no_conflict(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    same = {"email": ada["user"]["email"], "national_id": ada["user"]["national_id"]}
    assert client.patch(ada["url"], json=same, headers=admin).status_code == 200


def test_pages(client: FlaskClient, admin: dict[str, str], users: Documents) -> None:
    mark = ObjectId()
    ids = [ObjectId(f"00{mark}"[:22] + f"{n:02x}") for n in range(7)]
    items = [{"email": f"{i}@example.com", "national_id": str(i), "name": "P"} for i in ids]
    assert users.create_many(items, ids).created == 7

    first = client.get(f"{USERS}?limit=3", headers=admin).json
    seen = [u["id"] for u in first["items"]]
    while len(seen) < 7:
        first = client.get(f"{USERS}?limit=3&after={first['next']}", headers=admin).json
        seen += [u["id"] for u in first["items"]]
    assert seen[:7] == [str(i) for i in ids]
    for i in ids:
        assert client.delete(f"{USERS}/{i}", headers=admin).status_code == 204


def test_pages_end_and_are_capped(
    client: FlaskClient, admin: dict[str, str], conf: Settings, users: Documents
) -> None:
    items = [
        {"email": f"{i}@example.com", "national_id": str(i), "name": "P"}
        for i in (ObjectId() for _ in range(conf.page_size_limit + 5))
    ]
    assert users.create_many(items).created == len(items)
    page = client.get(f"{USERS}?limit=100000", headers=admin).json
    assert len(page["items"]) == conf.page_size_limit
    assert len(client.get(USERS, headers=admin).json["items"]) == conf.page_size
    after = page["items"][-1]["id"]
    total = len(page["items"])
    while page["next"]:
        page = client.get(f"{USERS}?limit=100&after={page['next']}", headers=admin).json
        assert all(u["id"] > after for u in page["items"])
        after = page["items"][-1]["id"]
        total += len(page["items"])
    assert total == users.collection.count_documents({"version": {"$exists": True}})


def test_no_page_shows_a_secret(client: FlaskClient, admin: dict[str, str], ada: Any) -> None:
    page = client.get(f"{USERS}?limit=100", headers=admin)
    assert set(page.json["items"][0]) == set(ada["user"])
    assert "argon2" not in page.text

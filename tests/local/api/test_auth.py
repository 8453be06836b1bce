"""Sign up, log in, tokens: the statements the API makes about who is asking."""

import base64
import json
import secrets
import time
from typing import Any

import jwt
import msgspec
import pytest
from argon2 import PasswordHasher
from bson import ObjectId
from flask import Flask
from flask.testing import FlaskClient

from api import passwords, setup
from api.app import create_app
from api.auth import gate, tokens
from api.settings import Settings
from api.store import Documents, Store

ME = "/api/v1/auth/me"
LOGIN = "/api/v1/auth/login"
SIGNUP = "/api/v1/auth/signup"
PASSWORD = "/api/v1/auth/password"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_signup_login_me(client: FlaskClient, person: dict[str, str]) -> None:
    made = client.post(SIGNUP, json=person)
    assert made.status_code == 201
    assert made.headers["Location"] == f"/api/v1/users/{made.json['id']}"
    assert made.json["role"] == "user"
    assert made.json["version"] == 1
    assert person["password"] not in made.text
    assert "hash" not in made.text

    for field in ("email", "national_id"):
        body = {field: person[field], "password": person["password"]}
        answer = client.post(LOGIN, json=body)
        assert answer.status_code == 200
        assert answer.json["token_type"] == "Bearer"
        shown = client.get(ME, headers=bearer(answer.json["access_token"]))
        assert shown.json == made.json


def test_login_folds_what_signup_folds(client: FlaskClient, ada: dict[str, Any]) -> None:
    body = {"email": f"  {ada['user']['email'].upper()} ", "password": ada["person"]["password"]}
    assert client.post(LOGIN, json=body).status_code == 200
    number = ada["user"]["national_id"].replace("-", " ").lower()
    body = {"national_id": number, "password": ada["person"]["password"]}
    assert client.post(LOGIN, json=body).status_code == 200


@pytest.mark.parametrize("body", [{}, {"email": "a@example.com", "national_id": "AB12"}])
def test_login_wants_one_name(client: FlaskClient, body: dict[str, str]) -> None:
    answer = client.post(LOGIN, json={**body, "password": "long-enough"})
    assert answer.status_code == 422
    assert {e["pointer"] for e in answer.json["errors"]} == {"#/email", "#/national_id"}


def test_unknown_user_and_wrong_password_look_alike(
    client: FlaskClient, ada: dict[str, Any]
) -> None:
    def answer(email: str) -> tuple[int, dict[str, Any], float]:
        began = time.process_time()  # what the machine does besides does not count
        got = client.post(LOGIN, json={"email": email, "password": "not-her-password"})
        took = time.process_time() - began
        return got.status_code, {k: v for k, v in got.json.items() if k != "request_id"}, took

    known = [answer(ada["user"]["email"]) for _ in range(7)]
    unknown = [answer(f"nobody.{n}@example.com") for n in range(7)]
    assert {(status, json.dumps(body)) for status, body, _ in known + unknown} == {
        (401, json.dumps(known[0][1]))
    }
    # An Argon2 hash each, which is nearly all of the work: without it the ratio is 4.
    assert 0.5 < min(t for *_, t in known) / min(t for *_, t in unknown) < 2


def test_no_password_no_login(
    client: FlaskClient, admin: dict[str, str], person: dict[str, str]
) -> None:
    password = person.pop("password")
    assert client.post("/api/v1/users", json=person, headers=admin).status_code == 201
    answer = client.post(LOGIN, json={"email": person["email"], "password": password})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "password", ["", "short7c", "x" * 129, "x" * 9999, "password123", "Qwertyuiop1!", "aaaaaaaaa"]
)
def test_weak_passwords_are_refused(
    client: FlaskClient, person: dict[str, str], password: str
) -> None:
    answer = client.post(SIGNUP, json={**person, "password": password})
    assert answer.status_code == 422
    assert [e["pointer"] for e in answer.json["errors"]] == ["#/password"]
    assert "`str`" not in answer.text  # a sentence for people, from one place
    body = {"email": person["email"], "password": password}
    assert client.post(LOGIN, json=body).status_code == 401


def test_long_passwords_are_not_cut(client: FlaskClient, person: dict[str, str]) -> None:
    long = "é" * 3 + "correct horse " * 8 + "battery staple"[:13]
    assert len(long) == 128
    assert client.post(SIGNUP, json={**person, "password": long}).status_code == 201
    email = person["email"]
    assert client.post(LOGIN, json={"email": email, "password": long}).status_code == 200
    assert client.post(LOGIN, json={"email": email, "password": long[:-1]}).status_code == 401


COMPOSED, DECOMPOSED = "Zürich am Bäch", "Zu\u0308rich am Ba\u0308ch"  # as phones and Macs have it


@pytest.mark.parametrize("chosen", [COMPOSED, DECOMPOSED])
def test_a_password_is_the_same_on_every_keyboard(
    client: FlaskClient, person: dict[str, str], chosen: str
) -> None:
    assert client.post(SIGNUP, json={**person, "password": chosen}).status_code == 201
    for typed in (COMPOSED, DECOMPOSED, COMPOSED.replace(" ", "\u00a0")):
        answer = client.post(LOGIN, json={"email": person["email"], "password": typed})
        assert answer.status_code == 200, ascii(typed)
    headers = bearer(answer.json["access_token"])
    body = {"current_password": DECOMPOSED, "new_password": f"new {chosen}"}
    assert client.post(PASSWORD, json=body, headers=headers).status_code == 204
    for typed in (COMPOSED, DECOMPOSED):
        answer = client.post(LOGIN, json={"email": person["email"], "password": f"new {typed}"})
        assert answer.status_code == 200, ascii(typed)


def test_and_for_administrators_made_by_command(client: FlaskClient, store: Store) -> None:
    email = f"admin-{secrets.token_hex(5)}@example.com"
    setup.ensure_admin(store, email, DECOMPOSED)
    for typed in (COMPOSED, DECOMPOSED):
        answer = client.post(LOGIN, json={"email": email, "password": typed})
        assert answer.status_code == 200, ascii(typed)


def test_an_older_hash_of_another_form_is_replaced(
    client: FlaskClient, ada: dict[str, Any], users: Documents
) -> None:
    user_id = ObjectId(ada["user"]["id"])
    users.change(user_id, {"password_hash": passwords.HASHER.hash(DECOMPOSED)})
    statuses = [
        client.post(LOGIN, json={"email": ada["user"]["email"], "password": typed}).status_code
        for typed in (COMPOSED, DECOMPOSED, COMPOSED)
    ]
    assert statuses == [401, 200, 200]


def test_the_length_of_a_password_is_that_of_its_normal_form(
    client: FlaskClient, person: dict[str, str]
) -> None:
    accented = "abcde\u0301"  # five characters, sent as six
    for sent, status in (("e\u0301" * 7, 422), (accented * 26, 422), (accented * 25, 201)):
        answer = client.post(SIGNUP, json={**person, "password": sent})
        assert answer.status_code == status, len(sent)


def test_rehash_at_login(client: FlaskClient, ada: dict[str, Any], users: Documents) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1)
    user_id = ObjectId(ada["user"]["id"])
    users.change(user_id, {"password_hash": old.hash(ada["person"]["password"])})
    body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    assert client.post(LOGIN, json=body).status_code == 200
    stored = users.get(user_id)
    assert stored is not None
    assert "m=19456,t=2,p=1" in stored["password_hash"]
    assert client.post(LOGIN, json=body).status_code == 200


def forge(conf: Settings, ada: dict[str, Any], **changes: Any) -> str:
    """A token like a good one, with changes; `header`, `key` and `algorithm` too."""
    good = ada["headers"]["Authorization"].split()[1]
    header = {**jwt.get_unverified_header(good), **changes.pop("header", {})}
    key = changes.pop("key", conf.jwt_secret)
    algorithm = changes.pop("algorithm", "HS256")
    claims = {**jwt.decode(good, options={"verify_signature": False}), **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, {k: v for k, v in header.items() if k != "alg"})


LONG_AGO, FAR_OFF = 1_000_000_000, 4_000_000_000  # seconds since 1970: in 2001 and 2096


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "another-api"},
        {"exp": LONG_AGO},
        {"exp": None},
        {"nbf": FAR_OFF},
        {"iss": None},
        {"aud": None},
        {"sub": "nonsense"},
        {"sub": None},
        {"ses": None},
        {"ses": "0000000000000000"},
        {"type": "refresh"},
        {"type": None},
        {"type": "device"},
        {"type": ["access"]},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"auth_time": None},
        {"auth_time": "long ago"},
        {"auth_time": float("inf")},
        {"exp": float("inf")},
        {"sub": "0123456789abcdef01234567"},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": None}},
        {"header": {"kid": ["x"]}},
        {"key": "another secret of more than 32 bytes, as is proper"},
        {"algorithm": "HS384"},
        {"algorithm": "none", "key": None},
    ],
    ids=str,
)
def test_bad_tokens(
    client: FlaskClient, conf: Settings, ada: dict[str, Any], changes: dict[str, Any]
) -> None:
    if changes.get("header", {}).get("kid", "") != "" and not isinstance(
        changes["header"]["kid"], str
    ):
        header = base64.urlsafe_b64encode(
            json.dumps({"alg": "HS256", "typ": "JWT", **changes["header"]}).encode()
        ).rstrip(b"=")
        token = header.decode() + "." + ada["headers"]["Authorization"].split(".", 1)[1]
    else:
        token = forge(conf, ada, **changes)
    answer = client.get(ME, headers=bearer(token))
    assert answer.status_code == 401, answer.json
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.mimetype == "application/problem+json"


def test_an_unchanged_forgery_passes(
    client: FlaskClient, conf: Settings, ada: dict[str, Any]
) -> None:
    """Else the test above would prove nothing."""
    assert client.get(ME, headers=bearer(forge(conf, ada))).status_code == 200


def test_the_scheme_is_case_insensitive(client: FlaskClient, ada: dict[str, Any]) -> None:
    """RFC 9110 11.1."""
    token = ada["headers"]["Authorization"].split()[1]
    for scheme in ("bearer", "BEARER", "bEaReR", "Bearer "):
        answer = client.get(ME, headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == 200, scheme


def respelled(token: str) -> list[str]:
    """Other spellings that loose decoders take for the same token."""
    head, body, mac = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # Of the last character of 32 bytes, two bits say nothing.
    beside = mac[:-1] + alphabet[alphabet.index(mac[-1]) ^ 1]
    padded = [f"{head}=.{body}.{mac}", f"{head}.{body}=.{mac}", f"{token}=", f"{token}=="]
    return [*padded, f"{head}.{body}.{beside}", f"{token}.", f"{head}.{body}.{mac[:-1]}"]


def test_a_token_has_one_spelling(client: FlaskClient, ada: dict[str, Any]) -> None:
    """base64url without padding, and no stray bits (RFC 7515 2, RFC 4648 3.5)."""
    token = ada["headers"]["Authorization"].split()[1]
    for other in respelled(token):
        assert client.get(ME, headers=bearer(other)).status_code == 401, other
    assert client.get(ME, headers=bearer(token)).status_code == 200


def test_clocks_may_differ_a_little(
    client: FlaskClient, conf: Settings, ada: dict[str, Any]
) -> None:
    apart = int(time.time()) + conf.clock_leeway / 2, int(time.time()) - conf.clock_leeway / 2
    for changes in ({"nbf": apart[0]}, {"iat": apart[0]}, {"exp": apart[1]}):
        token = forge(conf, ada, **changes)
        assert client.get(ME, headers=bearer(token)).status_code == 200, changes
    apart = int(time.time()) + conf.clock_leeway * 9, int(time.time()) - conf.clock_leeway * 9
    for changes in ({"nbf": apart[0]}, {"iat": apart[0]}, {"exp": apart[1]}):
        token = forge(conf, ada, **changes)
        assert client.get(ME, headers=bearer(token)).status_code == 401, changes


NESTED = base64.urlsafe_b64encode(b"[" * 2400).decode().rstrip("=")  # deeper than Python recurses


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Basic YTpi",
        "Bearer x.y.z",
        "Bearer é",
        "bearer,Bearer",
        "Bearer " + "A" * 5000,
        "Bearer ..",
        "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
        ", ,",
        "Bearer, Bearer x",
        "Bearer " + NESTED + "." + NESTED + ".x",
        "Bearer eyJhbGciOiJIUzI1NiJ9." + NESTED + ".x",
    ],
    ids=lambda header: header[:40],
)
def test_malformed_authorization(client: FlaskClient, header: str) -> None:
    answer = client.get(ME, headers={"Authorization": header.encode().decode("latin-1")})
    assert answer.status_code == 401


@pytest.mark.long
def test_an_expired_token_is_not_remembered(conf: Settings, ada: dict[str, Any]) -> None:
    app = create_app(msgspec.structs.replace(conf, clock_leeway=0))
    try:
        client = app.test_client()
        # Long enough for the first request on a busy machine.
        token = forge(conf, ada, exp=time.time() + 5)
        assert client.get(ME, headers=bearer(token)).status_code == 200
        end = time.monotonic() + 30
        while client.get(ME, headers=bearer(token)).status_code == 200:
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        app.extensions["store"].close()


def test_keys_rotate(conf: Settings, ada: dict[str, Any]) -> None:
    new = secrets.token_urlsafe(48)
    rotating = msgspec.structs.replace(conf, jwt_secret=new, jwt_previous_secret=conf.jwt_secret)
    retired = msgspec.structs.replace(conf, jwt_secret=new)
    body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    for settings, status in ((rotating, 200), (retired, 401)):
        app = create_app(settings)
        try:
            client = app.test_client()
            assert client.get(ME, headers=ada["headers"]).status_code == status
            fresh = client.post(LOGIN, json=body).json["access_token"]
            assert jwt.get_unverified_header(fresh)["kid"] == tokens.make(new).id
            assert client.get(ME, headers=bearer(fresh)).status_code == 200
        finally:
            app.extensions["store"].close()


def test_disabled_user_is_out_at_once(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    url, own = ada["url"], ada["headers"]
    assert client.get(url, headers=own).status_code == 200
    assert client.patch(url, json={"disabled": True}, headers=admin).status_code == 200
    for address in (url, ME):
        assert client.get(address, headers=own).status_code == 401
    assert client.patch(url, json={"name": "X"}, headers=own).status_code == 401
    body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    assert client.post(LOGIN, json=body).status_code == 401

    assert client.patch(url, json={"disabled": False}, headers=admin).status_code == 200
    assert client.get(ME, headers=own).status_code == 401  # the old session stays ended
    assert client.post(LOGIN, json=body).status_code == 200


def test_deleted_user_is_out_at_once(client: FlaskClient, ada: dict[str, Any]) -> None:
    assert client.delete(ada["url"], headers=ada["headers"]).status_code == 204
    assert client.get(ME, headers=ada["headers"]).status_code == 401


def test_new_password_ends_old_sessions(client: FlaskClient, ada: dict[str, Any]) -> None:
    new = {"current_password": ada["person"]["password"], "new_password": "another-good-one"}
    assert client.post(PASSWORD, json=new, headers=ada["headers"]).status_code == 204
    assert client.get(ME, headers=ada["headers"]).status_code == 401
    for password, status in ((ada["person"]["password"], 401), (new["new_password"], 200)):
        body = {"email": ada["user"]["email"], "password": password}
        assert client.post(LOGIN, json=body).status_code == status


def test_a_disabled_administrator_cannot_write_and_soon_not_read(
    client: FlaskClient, users: Documents, ada: dict[str, Any], bob: dict[str, Any]
) -> None:
    own, other = ada["headers"], bob["url"]
    users.change(ObjectId(ada["user"]["id"]), {"role": "admin"})
    assert client.get(other, headers=own).status_code == 200  # and remembered for a second
    users.change(ObjectId(ada["user"]["id"]), {"disabled": True})
    assert client.patch(other, json={"name": "X"}, headers=own).status_code == 401
    end = time.monotonic() + 3
    while client.get(other, headers=own).status_code != 401:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_every_route_but_the_public_ones_wants_a_token(app: Flask, client: FlaskClient) -> None:
    seen = set()
    for rule in app.url_map.iter_rules():
        url = rule.rule.replace("<id:document_id>", str(ObjectId()))
        for method in rule.methods or ():
            answer = client.open(url, method=method)
            if rule.endpoint in gate.PUBLIC:
                seen.add(rule.endpoint)
                assert answer.status_code != 401 or method == "POST"
            else:
                assert answer.status_code == 401, (method, rule)
    assert seen == gate.PUBLIC

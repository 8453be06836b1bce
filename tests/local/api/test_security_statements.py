"""The API's security statements (after ASVS 5, RFC 8725, OWASP's API Top 10), and their tests.

The table names for each statement the tests that hold it; a test sees to it that they exist. What
has no better place is tested here.
"""

from __future__ import annotations

import ast
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from api import resources
from api.crud.access import Who
from api.settings import Settings
from api.store import Documents

TESTS = Path(__file__).parents[2]
API = "/api/v1"
AUTH = f"{API}/auth"

STATEMENTS: dict[str, tuple[str, ...]] = {
    "alg none or an algorithm off the allow-list is 401": (
        "local/api/test_keys.py::test_no_algorithm_is_confused",
        "local/api/test_auth.py::test_bad_tokens",
    ),
    "an algorithm belongs to its key; a public key is no HS256 secret": (
        "local/api/test_keys.py::test_no_algorithm_is_confused",
        "unit/api/auth/test_tokens.py::test_the_algorithm_belongs_to_the_key",
    ),
    "an unknown kid is 401": ("local/api/test_auth.py::test_bad_tokens",),
    "a wrong iss, aud, exp or nbf is 401": (
        "local/api/test_auth.py::test_bad_tokens",
        "local/api/test_auth.py::test_an_expired_token_is_not_remembered",
    ),
    "a refresh token on an API route, an access token on refresh: 401": (
        "local/api/test_sessions.py::test_each_token_in_its_place",
        "local/api/test_cookies.py::test_cookies_in_each_others_place",
    ),
    "the app refuses to start with a short or well-known secret, or another kind of key": (
        "unit/api/settings/test_settings.py::test_weak_secrets",
        "unit/api/auth/test_tokens.py::test_another_pem_is_refused_in_one_line",
    ),
    "keys rotate: old and new verify, new signs; retired is 401": (
        "local/api/test_keys.py::test_rotation",
        "local/api/test_auth.py::test_keys_rotate",
    ),
    "refresh tokens rotate, a replay revokes the family": (
        "local/api/test_sessions.py::test_refresh_rotates",
        "local/api/test_sessions.py::test_a_replay_revokes_the_family",
        "local/api/test_cookies.py::test_refresh_by_cookie",
    ),
    "N parallel refreshes with one token give exactly one successor, to one client": (
        "local/api/test_sessions.py::test_n_refreshes_at_once_give_one_successor",
        "local/api/test_sessions.py::test_n_refreshes_at_once_over_processes",
        "local/api/test_sessions.py::test_n_clients_at_once_have_one_success",
        "local/api/test_sessions.py::test_told_again_for_some_seconds_only",
        "local/api/test_sessions.py::test_another_client_is_told_nothing",
        "local/api/test_sessions.py::test_no_token_is_kept",
        "local/api/test_cookies.py::test_two_tabs",
    ),
    "type, jti and times are required; a token has one spelling; the scheme's case is free": (
        "local/api/test_auth.py::test_bad_tokens",
        "local/api/test_auth.py::test_a_token_has_one_spelling",
        "local/api/test_auth.py::test_clocks_may_differ_a_little",
        "local/api/test_auth.py::test_the_scheme_is_case_insensitive",
    ),
    "a session ends in any case": (
        "local/api/test_sessions.py::test_a_session_has_an_end_whatever_its_use",
    ),
    "log-out takes whatever is left, and no dead cookie stays": (
        "local/api/test_sessions.py::test_log_out_takes_whatever_is_left",
        "local/api/test_cookies.py::test_log_out_when_only_the_refresh_cookie_is_left",
        "local/api/test_cookies.py::test_log_out_of_a_session_that_has_ended",
        "local/api/test_cookies.py::test_a_401_takes_back_what_is_good_for_nothing",
    ),
    "log-out ends the session; log-out everywhere, a new password and disabling end all": (
        "local/api/test_sessions.py::test_log_out_ends_this_session",
        "local/api/test_sessions.py::test_all_sessions_end",
        "local/api/test_sessions.py::test_disabling_ends_the_sessions",
        "local/api/test_sessions.py::test_a_log_in_cannot_outrun_a_new_password",
    ),
    "cookies are Secure, HttpOnly and SameSite=Strict; X-CSRF-TOKEN on writes": (
        "local/api/test_cookies.py::test_cookies_are_secure_httponly_strict",
        "local/api/test_cookies.py::test_writes_want_the_csrf_token",
        "local/api/test_cookies.py::test_a_bearer_token_as_cookie_cannot_write",
    ),
    "passwords have 8 to 128 characters, none is cut off, common ones are refused": (
        "unit/api/test_passwords.py::test_accepted",
        "unit/api/test_passwords.py::test_refused",
        "unit/api/test_passwords.py::test_nothing_is_cut_off",
        "local/api/test_auth.py::test_weak_passwords_are_refused",
        "local/api/test_auth.py::test_long_passwords_are_not_cut",
    ),
    "a password has one normal form, and its length is counted in that": (
        "unit/api/test_passwords.py::test_one_normal_form",
        "unit/api/test_passwords.py::test_the_same_work_without_a_user",
        "local/api/test_auth.py::test_a_password_is_the_same_on_every_keyboard",
        "local/api/test_auth.py::test_an_older_hash_of_another_form_is_replaced",
        "local/api/test_auth.py::test_the_length_of_a_password_is_that_of_its_normal_form",
    ),
    "Argon2id; hashed anew when the parameters change": (
        "unit/api/test_passwords.py::test_parameters",
        "local/api/test_auth.py::test_rehash_at_login",
    ),
    "unknown user and wrong password: the same status, body and time": (
        "local/api/test_auth.py::test_unknown_user_and_wrong_password_look_alike",
        "local/api/test_gate.py::test_log_in_takes_the_same_steps",
    ),
    "log-in is throttled by account and by address over all workers: 429 with Retry-After": (
        "local/api/test_throttling.py::test_by_account_from_many_addresses",
        "local/api/test_throttling.py::test_by_address_over_many_accounts",
        "local/api/test_throttling.py::test_n_wrong_log_ins_at_once",
        "local/api/test_throttling.py::test_over_the_workers_of_a_server",
        "local/api/test_throttling.py::test_the_present_password_is_no_way_around",
    ),
    "strangers lock nobody out: known addresses, devices and sessions are counted apart": (
        "local/api/test_throttling.py::test_one_stranger_locks_nobody_out",
        "local/api/test_throttling.py::test_a_known_address_passes",
        "local/api/test_throttling.py::test_a_known_device_passes",
        "local/api/test_throttling.py::test_at_the_owner_s_own_address",
        "local/api/test_throttling.py::test_who_is_logged_in_can_log_in_again",
        "local/api/test_throttling.py::test_strangers_do_not_keep_the_owner_from_a_new_password",
    ),
    "whether a unique value is taken cannot be tried out: 429, by account and by address": (
        "local/api/test_enumeration.py::test_national_ids_by_account",
        "local/api/test_enumeration.py::test_accounts_from_one_address",
        "local/api/test_enumeration.py::test_n_tries_at_once",
        "local/api/test_enumeration.py::test_whatever_is_unique_is_watched",
    ),
    "national id and account change hands only after a fresh log-in": (
        "local/api/test_account.py::test_what_matters_wants_a_fresh_log_in",
        "local/api/test_account.py::test_an_administrator_s_own_account_too",
    ),
    "the client's address comes from a trusted proxy only": (
        "unit/api/web/test_proxies.py::test_only_a_trusted_peer_is_believed",
        "local/api/test_throttling.py::test_an_untrusted_peer_cannot_choose_its_address",
    ),
    "user A on B's object is 404": ("local/api/test_users.py::test_others_do_not_exist",),
    "role, _id and password_hash in a body are 422": (
        "local/api/test_users.py::test_fields_that_are_not_theirs",
    ),
    "any $ key or undeclared filter is 422": (
        "local/api/test_security_statements.py::test_operators_are_no_fields",
        "local/api/test_security_statements.py::test_undeclared_filters",
    ),
    "a body over the limit is 413": ("local/api/test_malformed.py::test_too_large",),
    "the size of pages is capped": ("local/api/test_users.py::test_pages_end_and_are_capped",),
    "every route is authenticated unless it is on the one public list": (
        "local/api/test_auth.py::test_every_route_but_the_public_ones_wants_a_token",
        "local/api/test_gate.py::test_a_resource_cannot_open_itself",
        "local/api/test_gate.py::test_every_public_endpoint_exists",
    ),
    "the route table equals the paths of the OpenAPI description": (
        "unit/api/test_openapi.py::test_the_route_table_is_the_paths",
    ),
    "one problem+json shape; the request id in header, body and log; no stack trace": (
        "local/api/test_security_statements.py::test_the_request_id_is_everywhere",
        "unit/api/web/test_web.py::test_shape",
        "unit/api/web/test_web.py::test_bugs_tell_nothing",
    ),
    "no secret in any log line or response": (
        "local/api/test_security_statements.py::test_no_secret_in_logs_or_answers",
        "local/api/test_users.py::test_no_page_shows_a_secret",
        "local/api/test_administrators.py::test_administrators_changes_are_recorded_without_values",
    ),
}


@cache
def defined_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_each_statement_has_its_tests(statement: str) -> None:
    assert STATEMENTS[statement]
    for named in STATEMENTS[statement]:
        file, _, name = named.partition("::")
        assert name in defined_in(TESTS / file), named


OPERATORS: list[dict[str, Any]] = [
    {"$set": {"role": "admin"}},
    {"$where": "1"},
    {"sessions.$[].jti": "x"},
    {"name.$": "x"},
    {"__proto__": {}},
]


@pytest.mark.parametrize("extra", OPERATORS, ids=lambda extra: next(iter(extra)))
def test_operators_are_no_fields(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any], extra: dict[str, Any]
) -> None:
    name = next(iter(extra))
    for method, url, headers, body in (
        ("POST", f"{AUTH}/login", None, {"email": "a@example.org", "password": "long enough"}),
        ("POST", f"{AUTH}/signup", None, ada["person"]),
        ("POST", f"{API}/users", admin, ada["person"]),
        ("PATCH", ada["url"], ada["headers"], {}),
        ("PATCH", ada["url"], admin, {}),
    ):
        answer = client.open(url, method=method, json={**body, **extra}, headers=headers)
        assert answer.status_code == 422, (url, answer.json)
        assert [error["pointer"] for error in answer.json["errors"]] == [f"#/{name}"]
    for value in ({"$ne": None}, {"$gt": ""}, ["a"], 1):
        for body in (
            {"email": value, "password": "long enough"},
            {"email": "a@b.c", "password": value},
        ):
            answer = client.post(f"{AUTH}/login", json=body)
            assert answer.status_code == 422, body
    assert client.get(ada["url"], headers=ada["headers"]).json == ada["user"]


QUERIES = (
    "password_hash=x",
    "sessions.jti=x",
    "$where=1",
    "name[$ne]=x",
    "name[$regex]=.*",
    "filter={}",
    "where={}",
    "fields=password_hash",
    "fields=sessions",
    "sort=password_hash",
    "sort=$natural",
)


@pytest.mark.parametrize("query", QUERIES)
def test_undeclared_filters(client: FlaskClient, admin: dict[str, str], query: str) -> None:
    listed = [one.name for one in resources.ALL if one.access.list is not Who.NOBODY]
    assert {"users", "audit"} <= set(listed)
    for name in listed:
        answer = client.get(f"{API}/{name}?{query}", headers=admin)
        assert answer.status_code == 422, (name, answer.json)
        assert answer.json["errors"][0]["parameter"]


def lines(captured: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.splitlines() if line.startswith("{")]


def test_the_request_id_is_everywhere(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for method, url, status in (
        ("GET", f"{AUTH}/me", 401),
        ("GET", "/nowhere", 404),
        ("PUT", f"{AUTH}/login", 405),
        ("POST", f"{AUTH}/login", 415),
    ):
        capsys.readouterr()
        answer = client.open(url, method=method)
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
        assert {"type", "title", "status", "detail", "request_id"} <= set(answer.json)
        logged = [one for one in lines(capsys.readouterr().out) if one["event"] == "request"]
        assert [one["request_id"] for one in logged] == [answer.json["request_id"]]
        assert answer.headers["X-Request-Id"] == answer.json["request_id"]
        assert "Traceback" not in answer.text


class Life:
    """Everything an account can go through, and what must never be seen of it."""

    def __init__(self, client: FlaskClient, person: dict[str, str]) -> None:
        self.client, self.person = client, person
        self.secrets = {person["password"], "another-good-one", "not-her-password"}
        self.answers: list[str] = []

    def send(self, method: str, path: str, **more: Any) -> Any:
        answer = self.client.open(path, method=method, **more)
        self.answers.append(answer.text)
        return answer

    def tokens(self, path: str, **more: Any) -> dict[str, Any]:
        """An answer that must hold secrets: it is not kept, they are."""
        given: dict[str, Any] = self.client.post(path, **more).json
        self.secrets |= {given["access_token"], given["refresh_token"]}
        self.secrets |= {given.get("device_token", given["access_token"])}
        return given

    def log_in(self, **more: Any) -> dict[str, Any]:
        body = {"email": self.person["email"], "password": self.person["password"], **more}
        return self.tokens(f"{AUTH}/login", json=body)

    def live(self) -> None:
        """Sign up, log in in all ways, and do everything well and badly."""
        self.send("POST", f"{AUTH}/signup", json=self.person)
        self.send("POST", f"{AUTH}/signup", json={**self.person, "password": "another-good-one"})
        login = {"email": self.person["email"], "password": "not-her-password"}
        self.send("POST", f"{AUTH}/login", json=login)
        self.send("POST", f"{AUTH}/login", json={**login, "$x": self.person["password"]})
        self.send("POST", f"{AUTH}/login", data=f'{{"password": "{self.person["password"]}", ')
        broken = f'{{"password": "{self.person["password"]}", '
        self.send("POST", f"{AUTH}/login", data=broken, content_type="application/json")
        given = self.log_in()
        again = self.tokens(f"{AUTH}/refresh", headers=bearer(given["refresh_token"]))
        own = bearer(again["access_token"])
        self.send("GET", f"{AUTH}/me", headers=own)
        self.send("GET", f"{AUTH}/sessions", headers=own)
        self.send("GET", f"{AUTH}/me?token={again['access_token']}")
        self.send("GET", f"{AUTH}/{again['access_token']}")
        self.send("GET", f"{AUTH}/me", headers=bearer(again["access_token"] + "x"))
        self.send("GET", f"{AUTH}/me", headers=bearer(again["refresh_token"]))
        stolen = {**bearer(given["refresh_token"]), "User-Agent": "a thief's"}
        self.send("POST", f"{AUTH}/refresh", headers=stolen)
        own = bearer(self.log_in()["access_token"])
        change = {"current_password": "not-her-password", "new_password": "another-good-one"}
        self.send("POST", f"{AUTH}/password", json=change, headers=own)
        change["current_password"] = self.person["password"]
        self.send("POST", f"{AUTH}/password", json=change, headers=own)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_no_secret_in_logs_or_answers(
    client: FlaskClient,
    conf: Settings,
    users: Documents,
    person: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    life = Life(client, person)
    life.live()
    stored = users.find_unique("email", person["email"])
    assert stored is not None
    life.secrets |= {stored["password_hash"], conf.jwt_secret, conf.database_uri, "argon2"}
    printed = capsys.readouterr()
    logged = printed.out + printed.err
    assert len(lines(logged)) >= len(life.answers)
    for secret in life.secrets:
        assert secret not in logged
        assert not [answer for answer in life.answers if secret in answer]
    for value in (person["email"], person["national_id"], person["name"]):
        assert value not in logged  # no secrets, but nobody's business either

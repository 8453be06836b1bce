"""Sessions: refresh tokens rotate and are good once, and what ends a session ends its tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import requests
from bson import ObjectId
from flask.testing import FlaskClient

from api.app import create_app
from api.settings import Settings
from api.store import Documents

AUTH = "/api/v1/auth"
ME, LOGIN, REFRESH = f"{AUTH}/me", f"{AUTH}/login", f"{AUTH}/refresh"
AT_ONCE = 8


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(client: FlaskClient, user: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"email": user["user"]["email"], "password": user["person"]["password"]}
    answer = client.post(LOGIN, json=body, **more)
    assert answer.status_code == 200, answer.json
    tokens: dict[str, Any] = answer.json
    return tokens


def status(client: FlaskClient, tokens: dict[str, Any]) -> int:
    return int(client.get(ME, headers=bearer(tokens["access_token"])).status_code)


def refresh(client: FlaskClient, tokens: dict[str, Any]) -> Any:
    return client.post(REFRESH, headers=bearer(tokens["refresh_token"]))


def test_login_answers_with_both_tokens(client: FlaskClient, ada: dict[str, Any]) -> None:
    tokens = log_in(client, ada)
    assert list(tokens) == ["access_token", "refresh_token", "token_type", "expires_in"]
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 1800


def test_refresh_rotates(client: FlaskClient, ada: dict[str, Any]) -> None:
    first = log_in(client, ada)
    second = refresh(client, first).json
    third = refresh(client, second).json
    assert len({tokens["refresh_token"] for tokens in (first, second, third)}) == 3
    assert status(client, third) == 200
    assert status(client, first) == 200  # of the same session, and not yet expired


def test_a_replay_revokes_the_family(client: FlaskClient, ada: dict[str, Any]) -> None:
    other, first = log_in(client, ada), log_in(client, ada)
    second = refresh(client, first).json
    third = refresh(client, second).json
    replayed = refresh(client, first)
    assert replayed.status_code == 401
    assert replayed.headers["WWW-Authenticate"].startswith("Bearer")
    for tokens in (first, second, third):
        assert status(client, tokens) == 401
        assert refresh(client, tokens).status_code == 401
    assert status(client, other) == 200  # another session of the same user
    assert refresh(client, other).status_code == 200


def test_each_token_in_its_place(client: FlaskClient, ada: dict[str, Any]) -> None:
    tokens = log_in(client, ada)
    assert client.post(REFRESH, headers=bearer(tokens["access_token"])).status_code == 401
    assert client.post(REFRESH).status_code == 401
    for url in (ME, ada["url"], f"{AUTH}/sessions"):
        assert client.get(url, headers=bearer(tokens["refresh_token"])).status_code == 401
    assert status(client, tokens) == 200
    assert refresh(client, tokens).status_code == 200  # none of that counted as a use


def test_n_refreshes_at_once_give_one_success(
    client: FlaskClient, conf: Settings, ada: dict[str, Any]
) -> None:
    """Threads over two apps, which share nothing but the database."""
    apps = [create_app(conf) for _ in range(2)]
    clients = [app.test_client() for app in apps for _ in range(AT_ONCE // 2)]
    try:
        for _ in range(3):
            tokens = log_in(client, ada)
            barrier = threading.Barrier(AT_ONCE)

            def race(who: FlaskClient, tokens: Any = tokens, barrier: Any = barrier) -> int:
                barrier.wait()
                return int(refresh(who, tokens).status_code)

            with ThreadPoolExecutor(AT_ONCE) as pool:
                statuses = sorted(pool.map(race, clients))
            assert statuses == [200] + [401] * (AT_ONCE - 1)
    finally:
        for app in apps:
            app.extensions["store"].close()


def test_n_refreshes_at_once_over_processes(
    client: FlaskClient, server: Any, ada: dict[str, Any]
) -> None:
    """The same before a real server of several workers."""
    tokens = log_in(client, ada)
    barrier = threading.Barrier(AT_ONCE)

    def race(_: int) -> int:
        barrier.wait()
        url, headers = f"{server.url}{REFRESH}", bearer(tokens["refresh_token"])
        return requests.post(url, headers=headers, timeout=20).status_code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = sorted(pool.map(race, range(AT_ONCE)))
    assert statuses == [200] + [401] * (AT_ONCE - 1)


def test_log_out_ends_this_session(client: FlaskClient, ada: dict[str, Any]) -> None:
    mine, other = log_in(client, ada), log_in(client, ada)
    headers = bearer(mine["access_token"])
    assert client.post(f"{AUTH}/logout", headers=headers).status_code == 204
    assert status(client, mine) == 401
    assert refresh(client, mine).status_code == 401
    assert status(client, other) == 200
    assert client.post(f"{AUTH}/logout", headers=headers).status_code == 401


def change_password(client: FlaskClient, ada: dict[str, Any], headers: dict[str, str]) -> int:
    body = {"current_password": ada["person"]["password"], "new_password": "another-good-one"}
    return int(client.post(f"{AUTH}/password", json=body, headers=headers).status_code)


def log_out_everywhere(client: FlaskClient, _ada: Any, headers: dict[str, str]) -> int:
    return int(client.post(f"{AUTH}/logout-all", headers=headers).status_code)


@pytest.mark.parametrize("end", [log_out_everywhere, change_password])
def test_all_sessions_end(
    client: FlaskClient, ada: dict[str, Any], end: Callable[..., int]
) -> None:
    mine, other = log_in(client, ada), log_in(client, ada)
    assert end(client, ada, bearer(mine["access_token"])) == 204
    for tokens in (mine, other):
        assert status(client, tokens) == 401
        assert refresh(client, tokens).status_code == 401


def test_the_list_of_sessions(
    client: FlaskClient, ada: dict[str, Any], bob: dict[str, Any]
) -> None:
    agent = "Difference Engine/2 " + "x" * 300
    mine = log_in(client, ada, headers={"User-Agent": agent})
    headers = bearer(mine["access_token"])
    items = client.get(f"{AUTH}/sessions", headers=headers).json["items"]
    assert len(items) == 2  # the fixture's is the other
    shown = {"id", "made_at", "used_at", "ends_at", "address", "agent", "current"}
    assert all(set(item) == shown for item in items)
    assert [item["current"] for item in items] == [True, False]
    assert (items[0]["agent"], items[0]["address"]) == (agent[:200], "127.0.0.1")

    other = f"{AUTH}/sessions/{items[1]['id']}"
    assert client.delete(other, headers=bob["headers"]).status_code == 404
    assert client.get(ME, headers=ada["headers"]).status_code == 200
    assert client.delete(other, headers=headers).status_code == 204
    assert client.get(ME, headers=ada["headers"]).status_code == 401
    for gone in (other, f"{AUTH}/sessions/x", f"{AUTH}/sessions/$where"):
        answer = client.delete(gone, headers=headers)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert status(client, mine) == 200


@pytest.mark.parametrize("agent", ["$password_hash", "$$ROOT", "{$set: 1}", ""])
def test_a_user_agent_is_only_text(client: FlaskClient, ada: dict[str, Any], agent: str) -> None:
    """The write of log-in is a pipeline, in which `$password_hash` could mean a field."""
    tokens = log_in(client, ada, headers={"User-Agent": agent})
    assert current_agent(client, tokens) == agent
    named = {**bearer(tokens["refresh_token"]), "User-Agent": agent}
    assert current_agent(client, client.post(REFRESH, headers=named).json) == agent


def current_agent(client: FlaskClient, tokens: dict[str, Any]) -> str:
    answer = client.get(f"{AUTH}/sessions", headers=bearer(tokens["access_token"]))
    return str(next(item["agent"] for item in answer.json["items"] if item["current"]))


def test_each_step_touches_one_shard(
    client: FlaskClient, ada: dict[str, Any], seam: Any, explain: Any
) -> None:
    sent: list[dict[str, Any]] = []
    with seam.hooked(before=lambda _name, _where, command: sent.append(command)):
        tokens = refresh(client, log_in(client, ada)).json
        headers = bearer(tokens["access_token"])
        client.get(f"{AUTH}/sessions", headers=headers)
        client.post(f"{AUTH}/logout", headers=headers)
    asked = [command for command in sent if next(iter(command)) not in ("insert", "getMore")]
    assert {"users", "claims", "throttle"} == {next(iter(one.values())) for one in asked}
    for command in asked:
        assert len(explain(command)) == 1, command


def test_the_longest_unused_session_falls_out(conf: Settings, ada: dict[str, Any]) -> None:
    app = create_app(msgspec.structs.replace(conf, session_limit=3))
    try:
        client = app.test_client()
        begun = [log_in(client, ada) for _ in range(3)]
        kept = refresh(client, begun[0]).json
        log_in(client, ada)
        assert [status(client, tokens) for tokens in begun] == [200, 401, 200]
        assert status(client, kept) == 200
    finally:
        app.extensions["store"].close()


def test_expired_sessions_are_pruned_by_the_write_of_log_in(
    client: FlaskClient, conf: Settings, users: Documents, ada: dict[str, Any], seam: Any
) -> None:
    brief = create_app(msgspec.structs.replace(conf, refresh_token_lifetime=0.001))
    try:
        expired = log_in(brief.test_client(), ada)
        assert refresh(client, expired).status_code == 401
        writes: list[str] = []
        with seam.hooked(before=lambda name, where, _: writes.append(f"{name} {where}")):
            log_in(client, ada)
        assert writes.count("update users") == 1
        stored = users.collection.find_one({"_id": ObjectId(ada["user"]["id"])})
        assert stored is not None
        assert len(stored["sessions"]) == 2  # the fixture's and the last
    finally:
        brief.extensions["store"].close()


def test_sessions_do_not_change_the_version(client: FlaskClient, ada: dict[str, Any]) -> None:
    tokens = refresh(client, log_in(client, ada)).json
    assert client.get(ME, headers=bearer(tokens["access_token"])).json == ada["user"]


def test_a_log_in_cannot_outrun_a_new_password(
    client: FlaskClient, app: Any, ada: dict[str, Any], seam: Any
) -> None:
    """The old password is verified, then changed elsewhere: no session begins with it."""
    changed: list[int] = []

    def meanwhile(name: str, where: str, _command: Any) -> None:
        if (name, where) == ("update", "users") and not changed:
            changed.append(0)
            thread = threading.Thread(
                target=lambda: changed.append(
                    change_password(app.test_client(), ada, ada["headers"])
                )
            )
            thread.start()
            thread.join()

    body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
    with seam.hooked(before=meanwhile):
        answer = client.post(LOGIN, json=body)
    assert changed == [0, 204]
    assert answer.status_code == 401


def test_disabling_ends_the_sessions(
    client: FlaskClient, admin: dict[str, str], ada: dict[str, Any]
) -> None:
    tokens = log_in(client, ada)
    for disabled in (True, False):
        answer = client.patch(ada["url"], json={"disabled": disabled}, headers=admin)
        assert answer.status_code == 200
        assert status(client, tokens) == 401
        assert refresh(client, tokens).status_code == 401
    log_in(client, ada)

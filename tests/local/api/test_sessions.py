"""Sessions: refresh tokens rotate and are good once, and what ends a session ends its tokens."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import jwt
import msgspec
import pytest
import requests
from bson import ObjectId
from flask.testing import FlaskClient

from api.app import create_app
from api.settings import Settings
from api.store import Documents
from api.store.document import now

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


def test_login_answers_with_both_tokens(
    client: FlaskClient, conf: Settings, ada: dict[str, Any]
) -> None:
    tokens = log_in(client, ada)
    names = ["access_token", "refresh_token", "token_type", "expires_in", "device_token"]
    assert list(tokens) == names
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == conf.access_token_lifetime


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


def at_once(clients: list[Any], send: Callable[[Any], Any]) -> list[Any]:
    """What each client gets when all of them send at the same moment."""
    barrier = threading.Barrier(len(clients))

    def race(who: Any) -> Any:
        barrier.wait()
        return send(who)

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(race, clients))


def test_n_refreshes_at_once_give_one_successor(
    client: FlaskClient, conf: Settings, ada: dict[str, Any]
) -> None:
    """Threads over two apps, which share nothing but the database: one client with many tabs."""
    apps = [create_app(conf) for _ in range(2)]
    clients = [app.test_client() for app in apps for _ in range(AT_ONCE // 2)]
    try:
        for _ in range(3):
            tokens = log_in(client, ada)
            answers = at_once(clients, lambda who, tokens=tokens: refresh(who, tokens))
            assert [answer.status_code for answer in answers] == [200] * AT_ONCE
            assert len({answer.text for answer in answers}) == 1
            following = refresh(client, answers[0].json)
            assert following.status_code == 200
            assert refresh(client, tokens).status_code == 401  # the successor has been used
            assert status(client, following.json) == 401
    finally:
        for app in apps:
            app.extensions["store"].close()


def test_n_clients_at_once_have_one_success(
    client: FlaskClient, app: Any, ada: dict[str, Any]
) -> None:
    """Others than the one that was first look like thieves, however near the moment."""
    for _ in range(3):
        tokens = log_in(client, ada)
        answers = at_once(
            [(app.test_client(), f"agent {number}") for number in range(AT_ONCE)],
            lambda who, tokens=tokens: who[0].post(
                REFRESH, headers={**bearer(tokens["refresh_token"]), "User-Agent": who[1]}
            ),
        )
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] + [401] * (AT_ONCE - 1)
        assert status(client, tokens) == 401


def test_the_same_moment_does_not_make_the_same_client(
    client: FlaskClient, ada: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = now() + timedelta(seconds=1)
    monkeypatch.setattr("api.auth.sessions.now", lambda: moment)
    tokens = log_in(client, ada)
    answers = [
        client.post(REFRESH, headers={**bearer(tokens["refresh_token"]), "User-Agent": agent})
        for agent in ("Ada", "Mallory")
    ]
    assert [answer.status_code for answer in answers] == [200, 401]


def test_n_refreshes_at_once_over_processes(
    client: FlaskClient, server: Any, ada: dict[str, Any]
) -> None:
    """The same before a real server of several workers."""
    tokens = log_in(client, ada)
    url, headers = f"{server.url}{REFRESH}", bearer(tokens["refresh_token"])
    answers = at_once([None] * AT_ONCE, lambda _: requests.post(url, headers=headers, timeout=60))
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE
    assert len({answer.text for answer in answers}) == 1


def used_before(users: Documents, ada: dict[str, Any], seconds: float) -> None:
    """As if all sessions had been used so long ago."""
    mine = {"_id": ObjectId(ada["user"]["id"])}
    long_ago = now() - timedelta(seconds=seconds)
    users.collection.update_one(mine, {"$set": {"sessions.$[].used_at": long_ago}})


def test_told_again_for_some_seconds_only(
    client: FlaskClient, conf: Settings, users: Documents, ada: dict[str, Any]
) -> None:
    first = log_in(client, ada)
    second = refresh(client, first)
    assert refresh(client, first).json == second.json
    used_before(users, ada, conf.refresh_grace + 1)
    assert refresh(client, first).status_code == 401
    assert status(client, second.json) == 401
    assert refresh(client, second.json).status_code == 401


@pytest.mark.parametrize(
    "other",
    [
        {"headers": {"User-Agent": "Analytical Engine"}},
        {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}},
        {"by_cookie": True},
    ],
    ids=str,
)
def test_another_client_is_told_nothing(
    client: FlaskClient, app: Any, ada: dict[str, Any], other: dict[str, Any]
) -> None:
    first = log_in(client, ada)
    second = refresh(client, first).json
    sender, headers = app.test_client(), bearer(first["refresh_token"])
    if other.pop("by_cookie", False):
        body = {"email": ada["user"]["email"], "password": ada["person"]["password"]}
        given = client.post(LOGIN, json={**body, "mode": "cookie"})
        stolen = client.get_cookie("__Secure-refresh_token", path=AUTH)
        assert stolen is not None
        csrf = {"X-CSRF-TOKEN": given.json["csrf_refresh_token"]}
        assert client.post(REFRESH, headers=csrf).status_code == 200
        headers = bearer(stolen.value)
    else:
        headers |= other.pop("headers", {})
    answer = sender.post(REFRESH, headers=headers, **other)
    assert answer.status_code == 401
    assert (status(client, second) == 401) or client.get(ME).status_code == 401


def test_without_grace_the_second_time_is_a_replay(conf: Settings, ada: dict[str, Any]) -> None:
    app = create_app(msgspec.structs.replace(conf, refresh_grace=0))
    try:
        client = app.test_client()
        first = log_in(client, ada)
        assert refresh(client, first).status_code == 200
        assert refresh(client, first).status_code == 401
        assert status(client, first) == 401
    finally:
        app.extensions["store"].close()


def test_no_token_is_kept(client: FlaskClient, users: Documents, ada: dict[str, Any]) -> None:
    """Whoever reads the database finds nothing to log in with."""
    tokens = log_in(client, ada)
    refresh(client, tokens)
    again = refresh(client, tokens).json
    stored = str(users.collection.find_one({"_id": ObjectId(ada["user"]["id"])}))
    for token in (tokens["refresh_token"], again["refresh_token"], again["access_token"]):
        assert all(part not in stored for part in token.split("."))


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def test_a_session_has_an_end_whatever_its_use(conf: Settings, ada: dict[str, Any]) -> None:
    """No token outlasts it, and no refresh prolongs it."""
    app = create_app(msgspec.structs.replace(conf, session_lifetime=600))
    over = create_app(msgspec.structs.replace(conf, session_lifetime=0.001))
    try:
        client = app.test_client()
        first = log_in(client, ada)
        began = claims(first["access_token"])["auth_time"]
        second = refresh(client, first).json
        for tokens in (first, second):
            for token in (tokens["access_token"], tokens["refresh_token"]):
                assert claims(token)["exp"] <= began + 600
                assert claims(token)["auth_time"] == began
            assert tokens["expires_in"] <= 600
        shown = client.get(f"{AUTH}/sessions", headers=bearer(second["access_token"])).json
        current = next(item for item in shown["items"] if item["current"])
        ends = datetime.fromisoformat(current["ends_at"].replace("Z", "+00:00"))
        assert ends.timestamp() == began + 600
        assert refresh(over.test_client(), second).status_code == 401
    finally:
        for one in (app, over):
            one.extensions["store"].close()


def test_log_out_ends_this_session(client: FlaskClient, ada: dict[str, Any]) -> None:
    mine, other = log_in(client, ada), log_in(client, ada)
    headers = bearer(mine["access_token"])
    assert client.post(f"{AUTH}/logout", headers=headers).status_code == 204
    assert status(client, mine) == 401
    assert refresh(client, mine).status_code == 401
    assert status(client, other) == 200
    assert client.post(f"{AUTH}/logout", headers=headers).status_code == 204


def test_log_out_takes_whatever_is_left(client: FlaskClient, ada: dict[str, Any]) -> None:
    mine, other = log_in(client, ada), log_in(client, ada)
    assert client.post(f"{AUTH}/logout", headers=bearer(mine["refresh_token"])).status_code == 204
    assert status(client, mine) == 401
    for headers in ({}, bearer("x"), bearer(mine["refresh_token"]), {"Authorization": "Basic x"}):
        answer = client.post(f"{AUTH}/logout", headers=headers)
        assert (answer.status_code, answer.data) == (204, b""), headers
        assert "Set-Cookie" not in answer.headers
    assert status(client, other) == 200


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

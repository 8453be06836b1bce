"""By which steps secrets are changed, and what may not be begun."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from cluster.model.secrets import parse_keys
from tests.unit.ansible.test_plugins import plugin

rotation = plugin("module_utils/rotation")

NOW = {
    "key/keyFile": "oldold\n",
    "key/ca.pem": "A\n",
    "key/server.pem": "a server, by A\n",
    "operator/ca.key": "A's key\n",
    "operator/users.json": '{"admin": "1", "app": "2", "monitor": "3", "backup": "4"}',
    "application/jwt.key": "t1",
    "application/jwt.previous": "",
}
NEW = {
    "key/keyFile": "newnew\n",
    "key/ca.pem": "B\n",
    "key/server.pem": "a server, by B\n",
    "operator/ca.key": "B's key\n",
    "operator/users.json": '{"admin": "5", "app": "6", "monitor": "7", "backup": "8"}',
    "application/jwt.key": "t2",
    "application/jwt.previous": "",
}
GOOD_SECONDS = 100


def begun(*what: str, now: dict[str, str] = NOW, state: dict[str, Any] | None = None) -> Any:
    """Changes after their first step."""
    found = rotation.Rotation(now, state or {})
    found.begin(what, lambda _: NEW)
    return found


def test_the_key_goes_by_way_of_both() -> None:
    found = begun("key")
    assert parse_keys(found.secrets["key/keyFile"]) == ["oldold", "newnew"]
    found.go_on(GOOD_SECONDS)
    assert found.secrets["key/keyFile"] == "newnew\n"
    assert found.under_way == ["key"], "the last step has yet to be everywhere"
    assert found.go_on(GOOD_SECONDS) == ["key: done"]
    assert (found.under_way, found.state) == ([], {})


def test_a_new_key_verifies_tokens_everywhere_before_one_signs_with_it() -> None:
    def keys(found: Any) -> tuple[str, str]:
        return found.secrets["application/jwt.key"], found.secrets["application/jwt.previous"]

    found = begun("tokens")
    assert keys(found) == ("t1", "t2")
    found.go_on(GOOD_SECONDS)
    assert keys(found) == ("t2", "t1")
    found.go_on(GOOD_SECONDS)
    assert keys(found) == ("t2", "t1"), "tokens that the old one has signed stay good"
    dropped = begun("old-tokens", now=found.secrets, state=found.state)
    assert keys(dropped) == ("t2", "")


def test_the_application_has_two_users_until_it_is_its_successor() -> None:
    def users(found: Any) -> dict[str, str]:
        return dict(json.loads(found.secrets["operator/users.json"]))

    found = begun("passwords")
    new = {"admin": "5", "app-2": "6", "monitor": "7", "backup": "8"}
    assert users(found) == new | {"app": "2"}
    found.go_on(GOOD_SECONDS)
    assert users(found) == new
    assert set(users(begun("passwords", now=found.secrets))) == {*new, "app-3"}


def test_servers_are_vouched_for_by_whom_all_trust_at_any_step() -> None:
    def files(found: Any) -> list[str]:
        names = ("key/ca.pem", "operator/ca.key", "key/server.pem")
        return [found.secrets[name] for name in names]

    found = begun("authority")
    assert files(found) == ["A\nB\n", "A's key\n", "a server, by A\n"]
    found.go_on(GOOD_SECONDS)
    assert files(found) == ["B\nA\n", "B's key\n", "a server, by B\n"]
    found.go_on(GOOD_SECONDS)
    assert files(found) == ["B\n", "B's key\n", "a server, by B\n"]


def test_a_new_certificate_is_of_the_same_authority() -> None:
    found, given = rotation.Rotation(NOW, {}), []
    found.begin(["certificates"], lambda of: given.append(of) or NEW)
    assert given == [{name: NOW[name] for name in ("key/ca.pem", "operator/ca.key")}]
    assert found.secrets == NOW | {"key/server.pem": NEW["key/server.pem"]}


def test_an_interrupted_change_is_gone_on_with_as_it_was_begun() -> None:
    before = begun("key")
    again = rotation.Rotation(before.secrets, before.state)
    assert again.begin(["key", "tokens"], lambda _: {**NEW, "key/keyFile": "another"}) == [
        "tokens, step 1 of 2: every API accepts a new key"
    ]
    assert again.secrets["key/keyFile"] == before.secrets["key/keyFile"]
    again.go_on(GOOD_SECONDS)
    assert again.secrets["key/keyFile"] == "newnew\n"


def test_tokens_that_are_good_are_not_made_worthless_in_passing() -> None:
    found = begun("tokens")
    found.go_on(GOOD_SECONDS)
    found.go_on(GOOD_SECONDS)
    with pytest.raises(rotation.ChangeError, match="what=old-tokens first"):
        found.begin(["key", "tokens"], lambda _: NEW)
    assert found.under_way == [], "nothing was begun"
    found.state["old_tokens_until"] = int(time.time()) - 1
    assert found.begin(["tokens"], lambda _: NEW)


@pytest.mark.parametrize(("first", "then"), [("tokens", "old-tokens"), ("old-tokens", "tokens")])
def test_tokens_and_old_tokens_do_not_meet(first: str, then: str) -> None:
    with pytest.raises(rotation.ChangeError, match="two runs"):
        begun(first, then)
    with pytest.raises(rotation.ChangeError, match="two runs"):
        begun(then, state=begun(first).state)


def test_an_unknown_change_is_refused() -> None:
    with pytest.raises(rotation.ChangeError, match="'keys' is none of key, "):
        begun("keys")

"""New passwords of the users, while the application goes on."""

from __future__ import annotations

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from cluster.lifecycle import rotate_passwords
from cluster.local.cluster import LocalCluster
from cluster.model.users import USERS
from tests.local.cluster.small import client_of, run

pytestmark = pytest.mark.long


def comes_in(uri: str) -> bool:
    """Whether somebody new comes in by a connection string."""
    with MongoClient(uri, serverSelectionTimeoutMS=20_000) as client:
        try:
            client.admin.command("connectionStatus")
        except OperationFailure as error:
            if error.code != 18:
                raise
            return False
        return True


def strings(local: LocalCluster) -> dict[str, str]:
    return {user: local.uri(user) for user in USERS}


def test_the_application_comes_in_by_the_old_password_until_the_end(small: LocalCluster) -> None:
    old = strings(small)
    assert run(small, "rotate-passwords").returncode == 0
    new = strings(small)
    assert not set(old.values()) & set(new.values())
    assert {user: comes_in(uri) for user, uri in old.items()} == {
        **dict.fromkeys(USERS, False), "app": True,
    }  # fmt: skip
    assert all(map(comes_in, new.values()))
    again = run(small, "rotate-passwords")
    assert (again.returncode, strings(small)) == (0, new), "the change that was begun"
    with client_of(small, "app") as app:
        app["shardstack"]["kept"].insert_one({"_id": 1})
        assert run(small, "rotate-passwords", "--end").returncode == 0
        app["shardstack"]["kept"].delete_one({"_id": 1})
    assert not comes_in(old["app"])
    assert strings(small) == new
    small.up()
    assert all(map(comes_in, new.values()))


def test_a_change_that_was_written_down_alone_is_gone_on_with(small: LocalCluster) -> None:
    """As after an interruption between the file and the users."""
    before = strings(small)

    class Interrupted(LocalCluster):
        def make_whole(self, report: object) -> None:  # noqa: ARG002
            raise KeyboardInterrupt

    for half in (rotate_passwords.begin, rotate_passwords.end):
        try:
            half(Interrupted(small.state.folder), print)
        except KeyboardInterrupt:
            half(small, print)
    after = strings(small)
    assert not set(before.values()) & set(after.values())
    assert all(map(comes_in, after.values()))
    assert not any(map(comes_in, before.values()))

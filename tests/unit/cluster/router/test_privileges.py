"""Privileges as the manual describes resources."""

from __future__ import annotations

import pytest

from cluster.router.identity import Action, Privileges

PRIVILEGES = Privileges(
    [
        {"resource": {"db": "shop", "collection": ""}, "actions": ["find"]},
        {"resource": {"db": "shop", "collection": "orders"}, "actions": ["insert"]},
        {"resource": {"db": "", "collection": "logs"}, "actions": ["remove"]},
        {"resource": {"db": "shop", "collection": "system.js"}, "actions": ["update"]},
        {"resource": {"cluster": True}, "actions": ["listDatabases"]},
    ]
)


@pytest.mark.parametrize(
    ("needed", "allowed"),
    [
        (("shop", "orders", "find"), True),
        (("shop", "", "find"), True),
        (("bank", "orders", "find"), False),
        (("shop", "system.users", "find"), False),
        (("shop", "orders", "insert"), True),
        (("shop", "other", "insert"), False),
        (("bank", "logs", "remove"), True),
        (("shop", "system.js", "update"), True),
        ((None, None, "listDatabases"), True),
        ((None, None, "shutdown"), False),
        (("shop", "orders", "listDatabases"), False),
    ],
)
def test_allow(needed: Action, allowed: bool) -> None:
    assert PRIVILEGES.allow(needed) is allowed


def test_any_resource_is_everything() -> None:
    everything = Privileges([{"resource": {"anyResource": True}, "actions": ["find"]}])
    assert everything.allow(("any", "system.users", "find"))
    assert not everything.allow(("any", "thing", "insert"))
    assert everything.reaches("any")
    assert PRIVILEGES.reaches("anything")  # by its collection "logs" in every database
    assert not Privileges([]).reaches("any")

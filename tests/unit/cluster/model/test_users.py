"""Who the application is, while its password changes and afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from cluster.model.secrets import Secrets
from cluster.model.users import application, kind, roles, successor


def test_the_application_is_the_latest_of_its_users() -> None:
    assert application(["admin", "app", "backup"]) == "app"
    assert application(["app-10", "app-9", "app", "appendix", "app-x"]) == "app-10"


def test_each_has_a_successor_of_the_same_roles() -> None:
    assert (successor("app"), successor("app-2"), successor("app-9")) == (
        "app-2",
        "app-3",
        "app-10",
    )
    assert roles("app-2", "shop") == roles("app", "shop")


def test_other_users_are_what_they_are_called() -> None:
    assert [kind(user) for user in ("admin", "app-0", "app-", "application", "app-2x")] == [
        "admin", "app-0", "app-", "application", "app-2x",
    ]  # fmt: skip


def test_a_successor_has_no_password_made_for_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    there = {"admin": "a", "app-2": "b", "monitor": "c", "backup": "d"}
    file.write_text(json.dumps(there))
    assert Secrets(tmp_path / "key", file).passwords() == (there, False)

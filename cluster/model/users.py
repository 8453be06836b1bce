"""Who may do what: the cluster's users, who live on the config servers, and their roles.

A user has one password, and an old one is refused from the moment of its change. Since the
application is to go on meanwhile, with each new password it becomes another user: app, then app-2,
app-3. It is the latest of those there are; the one before goes when the application has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

USERS = ("admin", "app", "monitor", "backup")
_APPLICATION = re.compile(r"app(?:-([1-9]\d{0,8}))?")
SHARDER = "shardstackSharder"
"""The role of the application that lets it shard its own collections."""


def kind(user: str) -> str:
    """Which of USERS one is: "app" for app-2."""
    return "app" if _APPLICATION.fullmatch(user) else user


def application(users: Iterable[str]) -> str:
    """Who the application is among these users."""
    return max((user for user in users if kind(user) == "app"), key=_number)


def successor(user: str) -> str:
    """Who the application is after this one."""
    return f"app-{_number(user) + 1}"


def renewed(passwords: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The new passwords, the application's for its successor, beside who it is now."""
    now = application(passwords)
    others = {user: password for user, password in new.items() if kind(user) != "app"}
    return {**others, now: passwords[now], successor(now): new[application(new)]}


def settled(passwords: Mapping[str, str]) -> dict[str, str]:
    """The passwords without those of whom the application was before."""
    former = {user for user in passwords if kind(user) == "app"} - {application(passwords)}
    return {user: password for user, password in passwords.items() if user not in former}


def _number(user: str) -> int:
    return int(user.partition("-")[2] or 1)


def roles(user: str, database: str) -> list[dict[str, str]]:
    """The roles of one user; `database` is the application's."""
    names = {
        "admin": [("root", "admin")],
        "app": [("readWrite", database), ("dbAdmin", database), (SHARDER, "admin")],
        "monitor": [("clusterMonitor", "admin")],
        "backup": [("backup", "admin")],
    }
    return [{"role": role, "db": db} for role, db in names[kind(user)]]


def sharder_privileges(database: str) -> list[dict[str, Any]]:
    """What the application needs beside readWrite and dbAdmin: to shard its own collections."""
    resource = {"db": database, "collection": ""}
    return [{"resource": resource, "actions": ["enableSharding"]}]


def kept_database(now: str, wanted: str) -> str:
    """Why the application's database cannot become another one."""
    return (
        f"database is {now} in this cluster and cannot become {wanted}: the data would stay "
        f"behind. Make it {now} again; for {wanted}, make a new cluster and import what this one "
        "exports."
    )

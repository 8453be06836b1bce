"""Who may do what: the cluster's users, who live on the config servers, and their roles."""

from __future__ import annotations

from typing import Any

USERS = ("admin", "app", "monitor", "backup")
SHARDER = "shardstackSharder"
"""The role of the application that lets it shard its own collections."""


def roles(user: str, database: str) -> list[dict[str, str]]:
    """The roles of one user; `database` is the application's."""
    names = {
        "admin": [("root", "admin")],
        "app": [("readWrite", database), ("dbAdmin", database), (SHARDER, "admin")],
        "monitor": [("clusterMonitor", "admin")],
        "backup": [("backup", "admin")],
    }
    return [{"role": role, "db": db} for role, db in names[user]]


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

"""Who may do what: the cluster's users, which live on the config servers, and their roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.errors import OperationFailure

from cluster.connect import refused
from cluster.errors import MismatchError
from cluster.layout import Node
from cluster.replica_set import SetMaker

SHARDER = "shardstackSharder"
ROLE_EXISTS = 51002
USER_EXISTS = 51003

# Making a shard or a default concern known is acknowledged by a majority of the same config
# servers; that comes after the users and so confirms them, too. To wait here would cost a second.
QUICK = {"w": 1}


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


class UserMaker:
    """Makes the users, or gives those that exist the right password and roles again."""

    def __init__(self, config: SetMaker, passwords: Mapping[str, str], database: str) -> None:
        self.config = config
        self.passwords = passwords
        self.database = database

    def ensure_all(self, names: Iterable[str]) -> None:
        """The application's role, then the users."""
        self.config.on_primary(self._role)
        for name in names:
            self.ensure(name)

    def ensure(self, name: str) -> None:
        """One user."""
        self.config.on_primary(lambda primary: self._user(primary, name))

    def _role(self, primary: Node) -> None:
        admin = self.config.connections.member(primary).admin
        wanted = sharder_privileges(self.database)
        try:
            admin.command("createRole", SHARDER, privileges=wanted, roles=[], writeConcern=QUICK)
        except OperationFailure as error:
            if error.code != ROLE_EXISTS:
                raise
        else:
            return
        found = admin.command("rolesInfo", SHARDER, showPrivileges=True)["roles"]
        named = {one["resource"]["db"] for role in found for one in role["privileges"]}
        if other := named - {self.database}:
            raise MismatchError(kept_database(other.pop(), self.database))
        if not found or found[0]["privileges"] != wanted:
            admin.command("updateRole", SHARDER, privileges=wanted)
            self.config.report(f"role {SHARDER}: privileges set")

    def _user(self, primary: Node, name: str) -> None:
        admin = self.config.connections.member(primary).admin
        wanted = roles(name, self.database)
        password = self.passwords[name]
        try:
            admin.command("createUser", name, pwd=password, roles=wanted, writeConcern=QUICK)
        except OperationFailure as error:
            if error.code != USER_EXISTS:
                raise
        else:
            self.config.report(f"user {name}: made")
            return
        found = admin.command("usersInfo", name)["users"]
        if not found or _plain(found[0]["roles"]) != _plain(wanted):
            admin.command("updateUser", name, roles=wanted)
            self.config.report(f"user {name}: roles set")
        if not self._logs_in(primary, name, password):
            admin.command("updateUser", name, pwd=password)
            self.config.report(f"user {name}: password set")

    def _logs_in(self, primary: Node, name: str, password: str) -> bool:
        try:
            self.config.connections.user(primary, name, password).admin.command("ping")
        except OperationFailure as error:
            if refused(error):
                return False
            raise
        return True


def _plain(roles_: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(role["role"], role["db"]) for role in roles_}

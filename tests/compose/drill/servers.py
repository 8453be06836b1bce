"""What the cluster's servers say of themselves, asked from this machine.

They publish no ports, but the machine that Docker runs on has a place in their network.
"""

from __future__ import annotations

from typing import Any

from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from tests.compose.stack import MEMBERS, ROUTERS, Stack, until

DATABASE = "shardstack"
Client = MongoClient[dict[str, Any]]


class Servers:
    """Asks single servers of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._admin = parse_uri(stack.ops("uri", "--user", "admin").strip())

    def primary(self, set_name: str) -> str:
        """The service that is a set's primary: "cfg" or "shard-1"."""
        found: list[str] = []
        until(lambda: self._look(set_name, found), 30, lambda: f"{set_name} has no primary")
        return found[0]

    def secondary(self, set_name: str) -> str:
        """A service of the set that is not its primary."""
        primary = self.primary(set_name)
        return next(name for name in _members(set_name) if name != primary)

    def shard_of(self, owner: str) -> str:
        """The shard with the projects of this user."""
        find = {"find": "projects", "filter": {"owner": ObjectId(owner)}}
        with self._client(ROUTERS[0], 27017, **self._credentials()) as client:
            plan = client[DATABASE].command("explain", find, verbosity="queryPlanner")
        [shard] = plan["queryPlanner"]["winningPlan"]["shards"]
        return str(shard["shardName"])

    def _look(self, set_name: str, found: list[str]) -> bool:
        for name in _members(set_name):
            with self._client(name, 27019 if set_name == "cfg" else 27018) as client:
                try:
                    if client.admin.command("hello")["isWritablePrimary"]:
                        found.append(name)
                except PyMongoError:
                    continue
        return len(found) > 0

    def _credentials(self) -> dict[str, str]:
        return {name: self._admin[name] for name in ("username", "password")}

    def _client(self, service: str, port: int, **options: Any) -> Client:
        networks = self._stack.inspect(service)["NetworkSettings"]["Networks"]
        return MongoClient(
            networks[f"{self._stack.project}_cluster"]["IPAddress"],
            port,
            directConnection=True,
            serverSelectionTimeoutMS=3000,
            socketTimeoutMS=10_000,
            **options,
        )


def _members(set_name: str) -> list[str]:
    prefix = "config-" if set_name == "cfg" else f"{set_name}-"
    return [name for name in MEMBERS if name.startswith(prefix)]

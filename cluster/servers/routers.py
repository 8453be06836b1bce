"""Routers: whether one serves, and which program it is."""

from __future__ import annotations

from typing import Any

from pymongo.errors import PyMongoError

from cluster.model.layout import Node
from cluster.servers.connections import Connections, listens, short


def why_not_serving(connections: Connections, router: Node, user: str, password: str) -> str:
    """Why a router does not serve; "" when it lists the databases.

    For that it needs the config servers and the shards; an open port or an answered ping says
    nothing of these. `user` needs the right to list databases, which admin and monitor have.
    """
    if not listens(router):
        return "not listening"
    try:
        client = connections.user(router, user, password)
        client.admin.command("listDatabases", nameOnly=True)
    except PyMongoError as error:
        return short(error)
    return ""


def is_stand_in(build_info: dict[str, Any]) -> bool:
    """Whether it is this project's stand-in router, by its buildInfo."""
    return build_info.get("router") == "stand-in"


def router_kind(build_info: dict[str, Any]) -> str:
    """Which router serves, by its buildInfo: "mongos 8.0.4", or the stand-in and its version."""
    version = build_info["version"]
    return (
        f"stand-in router (MongoDB {version})" if is_stand_in(build_info) else f"mongos {version}"
    )

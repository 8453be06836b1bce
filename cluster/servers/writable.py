"""What keeps a running member from taking writes: a lock that somebody set on it.

No command of this project sets one. Operators do, and other tools, before they copy a member's
files; the server bounds such a lock by nothing, and whoever writes waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from pymongo.errors import PyMongoError

from cluster.errors import LockedError
from cluster.model.layout import ReplicaSet
from cluster.servers.connections import Client, Connections
from cluster.servers.replica_set import primary_of

LOCKS = {"currentOp": 1, "command.fsync": {"$exists": True}, "command.lock": True}
BLOCKED = 2  # serverStatus: repl.userWriteBlockMode


def hindrance(client: Client) -> str | None:
    """What keeps a member from taking writes, and how to end that; None when nothing does.

    `client` speaks to the member itself.
    Sources: the manual pages of fsync (currentOp: fsyncLock) and setUserWriteBlockMode.
    """
    found = client.admin.command(LOCKS)
    if found.get("fsyncLock"):
        return (
            "locked against writes (fsync), which wait. Whoever locked it ends that with "
            "db.fsyncUnlock(); restarting it does, too"
        )
    if found["inprog"]:
        return "about to be locked against writes (fsync), which wait already"
    if client.admin.command("serverStatus", repl=1)["repl"].get("userWriteBlockMode") == BLOCKED:
        return (
            "told to refuse users' writes. Whoever wanted that ends it with setUserWriteBlockMode, "
            "global: false"
        )
    return None


def assert_writable(connections: Connections, sets: Iterable[ReplicaSet]) -> None:
    """LockedError for a primary that is kept from taking writes; one that is silent is passed."""
    for replica_set in sets:
        primary = primary_of(connections, replica_set)
        if primary is None:
            continue
        try:
            why = hindrance(connections.member(primary))
        except PyMongoError:
            continue
        if why:
            raise LockedError(f"{primary.name} ({primary.address}) is {why}.")

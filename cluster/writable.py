"""What keeps a running member from taking writes: a lock that somebody set on it.

No command of this project sets one. Operators do, and other tools, before they copy a member's
files; the server bounds such a lock by nothing, and whoever writes waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from pymongo.errors import PyMongoError

from cluster.connect import Client, Connections
from cluster.errors import LockedError
from cluster.layout import ReplicaSet
from cluster.replica_set import look

LOCKS = {"currentOp": 1, "command.fsync": {"$exists": True}, "command.lock": True}
BLOCKED = 2  # serverStatus: repl.userWriteBlockMode


def hindrance(client: Client) -> str | None:
    """What it is and how to end it; None when nothing does. `client` speaks to the member itself.

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
        for node in replica_set.members:
            if look(connections, node).state == "PRIMARY":
                try:
                    why = hindrance(connections.member(node))
                except PyMongoError:
                    continue
                if why:
                    raise LockedError(f"{node.name} ({node.address}) is {why}.")

"""fsync locks on single members: set, seen, lifted.

A member that is locked takes no write until it is unlocked as often as it was locked; the lock
outlives the connection that set it.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from cluster.connect import Client, Connections, listens, short
from cluster.errors import ClusterError, DeadlineError
from cluster.layout import Node
from cluster.waiting import Waiter

UNLOCK_SECONDS = 15.0


def lock(client: Client) -> None:
    """Locks a member, or all shards through a router that can; waits for the writes under way."""
    client.admin.command("fsync", lock=True)


def is_locked(connections: Connections, node: Node) -> bool:
    """Whether a member is locked; False for one that does not listen, since a lock dies with it."""
    if not listens(node):
        return False
    return bool(_operations(connections, node).get("fsyncLock"))


def locked(connections: Connections, nodes: Iterable[Node]) -> list[Node]:
    """Those of the members that are locked. Raises ClusterError when one cannot be asked."""
    nodes = list(nodes)
    with ThreadPoolExecutor(len(nodes)) as pool:
        found = pool.map(lambda node: _ask(connections, node), nodes)
        return [node for node, is_so in zip(nodes, found, strict=True) if is_so]


def _ask(connections: Connections, node: Node) -> bool:
    try:
        return is_locked(connections, node)
    except PyMongoError as error:
        raise ClusterError(
            f"{node.name} ({node.address}) cannot be asked whether it is locked: {short(error)}. "
            "See `status`, and heal it first."
        ) from None


def lift(connections: Connections, nodes: Iterable[Node]) -> list[Node]:
    """Unlocks members until none is locked nor about to be; returns those that were.

    Raises ClusterError when a member that listens does not answer: it may still be locked.
    """
    nodes = list(nodes)
    if not nodes:
        return []
    with ThreadPoolExecutor(len(nodes)) as pool:
        found = pool.map(lambda node: _lift(connections, node), nodes)
        return [node for node, was in zip(nodes, found, strict=True) if was]


def _lift(connections: Connections, node: Node) -> bool:
    was = False
    quiet = 0  # looks in a row without a lock: the order to lock may have only just arrived
    last = ""

    def look() -> bool | None:
        nonlocal was, quiet, last
        if not listens(node):
            return True
        try:
            now = _operations(connections, node)
            if now.get("fsyncLock"):
                was, quiet = True, 0
                connections.member(node).admin.command("fsyncUnlock")
            elif now["inprog"]:
                quiet = 0  # one who wants to lock still waits for a write to end
            else:
                quiet += 1
        except OperationFailure as error:
            last = short(error)  # unlocked by somebody else this moment, or shutting down
        except PyMongoError as error:
            last = short(error)
        return True if quiet >= 2 else None

    try:
        Waiter(UNLOCK_SECONDS).until(look, lambda: "", every=0.05)
    except DeadlineError:
        raise ClusterError(
            f"{node.name} ({node.address}) may still be locked against writes: {last}. "
            "Run `dump --unlock` when it answers again."
        ) from None
    return was


def _operations(connections: Connections, node: Node) -> dict[str, Any]:
    """Orders to lock under way, as `inprog`; and `fsyncLock` if it is locked."""
    return connections.member(node).admin.command(
        {"currentOp": 1, "command.fsync": {"$exists": True}}
    )

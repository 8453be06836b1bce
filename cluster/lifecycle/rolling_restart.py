"""Restarts every server of a cluster, one at a time, while clients go on.

The order is that of careful operators: the config servers first, then shard by shard, then the
routers; within a set the secondaries, then the primary after it has handed over. The next one has
to wait until the set is whole again: every member primary or secondary in the primary's own eyes,
and none far behind.
Source: https://docs.percona.com/percona-operator-for-mongodb/update-db.html (its smart update)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TextIO

from pymongo import MongoClient

from cluster.errors import ClusterError
from cluster.model.layout import Node, ReplicaSet
from cluster.servers.balancer import balancer_off
from cluster.servers.connections import Access, Connections
from cluster.servers.replica_set import (
    CATCH_UP_SECONDS,
    Standing,
    hand_over,
    look,
    standing,
)
from cluster.servers.routers import why_not_serving
from cluster.servers.waiting import Waiter
from console import Report

Restart = Callable[[Node], None]

PATIENCE = 10.0  # seconds for what has just been started to be well, before it is called unwell
SECONDS = 120.0  # for one node to serve again
SMALL_LAG_SECONDS = 2.0
PURPOSE = "a rolling restart"


def rolling_restart(
    access: Access,
    restart: Restart,
    report: Report,
    *,
    only: Collection[str] | None = None,
    patience: float = PATIENCE,
) -> None:
    """Restarts all servers, or `only` those named, by `restart`: one stops cleanly and comes back.

    `restart` need not wait until the server serves, and is never given a primary that another
    member could relieve. The balancer is off meanwhile. It may be interrupted at any moment and
    run again. Raises ClusterError: not all servers are well at the beginning (after `patience`
    seconds), or one does not come back.
    """
    nodes = [n.name for n in access.layout.nodes if only is None or n.name in only]
    if not nodes:
        return
    assert_well(access, patience)
    client: MongoClient[dict[str, Any]]
    with (
        MongoClient(access.uri("admin"), serverSelectionTimeoutMS=5000) as client,
        balancer_off(client, report, PURPOSE),
        access.connections(timeout=CATCH_UP_SECONDS + 5) as connections,
    ):
        work = _Rolling(access, connections, restart, report)
        for replica_set in access.layout.sets:
            work.restart_set(replica_set, nodes)
        for router in access.layout.routers:
            if router.name in nodes:
                work.restart_router(router)


def asked_restart(say: Callable[[str], None], answers: TextIO) -> Callable[[str], None]:
    """A way to restart a server by name: asks whoever runs it, who reads what this process says.

    `restart NAME` is said, and a line `done` awaited. ClusterError for any other answer, or none:
    nobody is left to ask.
    """

    def restart(name: str) -> None:
        say(f"restart {name}")
        answer = answers.readline().strip()
        if answer != "done":
            raise ClusterError(f"{name} was not restarted: {answer or 'nobody answered'}.")

    return restart


def assert_well(access: Access, patience: float = PATIENCE) -> None:
    """ClusterError, naming who, unless every member is settled and every router answers."""
    Waiter(patience).until_well(
        lambda: "; ".join(_unwell(access)),
        lambda unwell: (
            f"not begun, since not every server is well: {unwell}. Make the cluster whole first "
            "(`up`; see `status`)."
        ),
        every=0.5,
    )


def _unwell(access: Access) -> list[str]:
    found = []
    password = access.passwords["admin"]
    with access.connections(timeout=3) as connections:
        for replica_set in access.layout.sets:
            members = [look(connections, node) for node in replica_set.members]
            found += [f"{m.node.name} is {m.state}" for m in members if not m.is_settled]
            if all(m.state == "SECONDARY" for m in members):
                found.append(f"{replica_set.name} has no primary")
        for router in access.layout.routers:
            if problem := why_not_serving(connections, router, "admin", password):
                found.append(f"{router.name} does not answer ({problem})")
    return found


class _Rolling:
    def __init__(
        self, access: Access, connections: Connections, restart: Restart, report: Report
    ) -> None:
        self.access = access
        self.connections = connections
        self.restart = restart
        self.report = report

    def restart_set(self, replica_set: ReplicaSet, names: Collection[str]) -> None:
        """Restarts the named members: the secondaries, then whoever is the primary by then."""
        left = {node.name: node for node in replica_set.members if node.name in names}
        while left:
            now = self._whole(replica_set)
            behind = next((node for name, node in left.items() if name != now.primary.name), None)
            if behind is None and len(replica_set.members) > 1:
                taker = hand_over(self.connections, replica_set, now.primary)
                self.report(f"{replica_set.name}: {taker.name} took over from {now.primary.name}")
                continue
            node = behind or now.primary
            self.restart(node)
            del left[node.name]
            self._whole(replica_set)
            self.report(f"{node.name}: restarted, and in sync")

    def restart_router(self, router: Node) -> None:
        """Restarts one router and waits until it serves."""
        self.restart(router)
        password = self.access.passwords["admin"]
        Waiter(SECONDS).until_well(
            lambda: why_not_serving(self.connections, router, "admin", password),
            lambda why: f"{router.name} does not serve after {SECONDS:.0f} s: {why}.",
        )
        self.report(f"{router.name}: restarted, and serves")

    def _whole(self, replica_set: ReplicaSet) -> Standing:
        """Waits until the set has a primary and every member follows it closely."""
        problem = ""

        def whole() -> Standing | None:
            nonlocal problem
            now = standing(self.connections, replica_set)
            problem = now.problem(SMALL_LAG_SECONDS) if now else "it has no primary"
            return None if problem else now

        return Waiter(SECONDS).until(
            whole,
            lambda: (
                f"{replica_set.name} is not whole after {SECONDS:.0f} s: {problem}. See the log "
                "there; run this again when it is well."
            ),
        )

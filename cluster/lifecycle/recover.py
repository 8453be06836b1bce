"""A set that lost most of its members for good gets a primary again, by force.

While most members of a set live, nothing of this is needed: they elect a primary, and a member that
comes back, or a fresh one at its address, catches up. Without a majority nobody is elected. Here
those that are left get a configuration in which the lost ones have no vote. They keep their place:
a fresh member at such an address copies the data, and the bootstrap gives it its vote back.
Source: https://www.mongodb.com/docs/manual/tutorial/reconfigure-replica-set-with-unavailable-members/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import AutoReconnect, PyMongoError

from cluster.errors import StateError
from cluster.model.layout import Node, ReplicaSet
from cluster.servers.connections import Access, Connections, refusal
from cluster.servers.replica_set import configuration, look, primary_of, states
from cluster.servers.waiting import Waiter
from console import Report

ELECTION_SECONDS = 60.0
TIMEOUT = 5.0  # seconds for each answer


@dataclass(frozen=True)
class Loss:
    """A set without a majority: who is left, and how each lost member is, by its node."""

    replica_set: ReplicaSet
    newest: Node
    """Of those that are left, the one with the last operation."""
    until: datetime
    """When that operation was."""
    lost: dict[Node, str]

    def __str__(self) -> str:
        """What has happened and what forcing costs, for the person who is asked."""
        members = ", ".join(f"{node.name} ({why})" for node, why in self.lost.items())
        return (
            f"{self.replica_set.name} has lost {len(self.lost)} of "
            f"{len(self.replica_set.members)} members: {members}. What is left is what "
            f"{self.newest.name} had at {self.until:%Y-%m-%d %H:%M:%S} UTC; what only the lost "
            "ones had, acknowledged or not, is then lost for good. If one of them can still be "
            "started with its data, do that instead."
        )


@dataclass(frozen=True)
class _Left:
    """A member that is left, as it says itself."""

    node: Node
    status: dict[str, Any]

    @property
    def last(self) -> dict[str, Any]:
        """Its own line of the status: `optime` (term and time), `optimeDate`."""
        return next(dict(one) for one in self.status["members"] if one.get("self"))

    @property
    def age(self) -> tuple[int, Any]:
        """The greater, the newer its last operation."""
        return self.last["optime"]["t"], self.last["optime"]["ts"]


def losses(access: Access, names: tuple[str, ...] = ()) -> list[Loss]:
    """The sets that have lost a majority; of those named, if any are.

    Raises StateError for a name that is none, for a set of which nothing is left, and for one whose
    members hear others that do not answer here: those are not lost.
    """
    there = {one.name: one for one in access.layout.sets}
    if unknown := [name for name in names if name not in there]:
        raise StateError(f"there is no set {unknown[0]!r}. There are: {', '.join(there)}.")
    with access.connections(TIMEOUT) as connections:
        found = [_loss(connections, there[name]) for name in names or there]
    return [one for one in found if one]


def force(access: Access, loss: Loss, report: Report) -> None:
    """Takes the lost members' votes, and waits for a primary. Safe to repeat.

    Raises ClusterError when the member refuses, DeadlineError when no primary comes of it.
    """
    replica_set = loss.replica_set
    addresses = {node.address for node in loss.lost}
    with access.connections(TIMEOUT) as connections:
        admin = connections.member(loss.newest).admin
        try:
            config = configuration(connections, loss.newest)
            for member in config["members"]:
                if member["host"] in addresses:
                    member |= {"votes": 0, "priority": 0}
            config["version"] += 1
            admin.command("replSetReconfig", config, force=True)
        except AutoReconnect:
            pass  # it may have taken it: what comes of it tells
        except PyMongoError as error:
            raise refusal(loss.newest, error) from None
        report(f"{replica_set.name}: {', '.join(node.name for node in loss.lost)} have no vote now")
        primary = Waiter(ELECTION_SECONDS).until(
            lambda: primary_of(connections, replica_set),
            lambda: f"{replica_set.name} has no primary yet: {states(connections, replica_set)}.",
        )
    report(f"{replica_set.name}: {primary.name} is the primary")


def _loss(connections: Connections, replica_set: ReplicaSet) -> Loss | None:
    left = list(_left(connections, replica_set))
    lost = {
        node: look(connections, node).state
        for node in replica_set.members
        if node not in [one.node for one in left]
    }
    if not lost:
        return None
    if not left:
        how = ", ".join(f"{node.name} {why}" for node, why in lost.items())
        raise StateError(
            f"nothing is left of {replica_set.name}: {how}. Start a member that has its data, or "
            "make the cluster anew and restore a backup."
        )
    newest = max(left, key=lambda one: one.age)
    heard = {m["name"] for one in left for m in one.status["members"] if m.get("health") == 1}
    votes = _votes(connections, newest.node)
    if 2 * sum(votes.get(one.node.address, 0) for one in left) > sum(votes.values()):
        return None
    if alive := [node for node in lost if node.address in heard and lost[node] == "not listening"]:
        raise StateError(
            f"{alive[0].name} does not answer here, but {newest.node.name} hears it: it is not "
            "lost. Run this where all servers of the cluster can be reached."
        )
    return Loss(replica_set, newest.node, newest.last["optimeDate"], lost)


def _left(connections: Connections, replica_set: ReplicaSet) -> Iterator[_Left]:
    for node in replica_set.members:
        try:
            status = connections.member(node).admin.command("replSetGetStatus")
        except PyMongoError:  # gone, or fresh: it has no configuration
            continue
        yield _Left(node, status)


def _votes(connections: Connections, node: Node) -> dict[str, int]:
    """How many votes each address has, as a member knows it."""
    try:
        config = configuration(connections, node)
    except PyMongoError as error:
        raise refusal(node, error) from None
    return {member["host"]: int(member["votes"]) for member in config["members"]}

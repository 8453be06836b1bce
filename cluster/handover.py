"""How a set stands in its primary's eyes, and how the primary hands over to another member."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import AutoReconnect, PyMongoError

from cluster.connect import Connections, short
from cluster.layout import Node, ReplicaSet
from cluster.replica_set import look, states
from cluster.waiting import Waiter

CATCH_UP_SECONDS = 10  # for a secondary to have all that the primary has, or else it stays
AWAY_SECONDS = 20  # in which the one that stepped down does not want to be elected
HANDOVER_SECONDS = 30.0


@dataclass(frozen=True)
class Standing:
    """The primary, and by node name what it says of each member: state and last operation."""

    primary: Node
    members: dict[str, tuple[str, datetime | None]]

    def problem(self, small_lag: float) -> str:
        """Who is not settled, or more than `small_lag` seconds behind; "" when nobody is."""
        newest = self.members[self.primary.name][1]
        for name, (state, last) in self.members.items():
            if state not in ("PRIMARY", "SECONDARY"):
                return f"{name} is {state}"
            if newest is None or last is None:
                return f"how far {name} is behind is not known"
            if (behind := (newest - last).total_seconds()) > small_lag:
                return f"{name} is {behind:.0f} s behind"
        return ""


def standing(connections: Connections, replica_set: ReplicaSet) -> Standing | None:
    """How the set stands; None while nobody can tell, since no primary is known."""
    for node in replica_set.members:
        if look(connections, node).state == "PRIMARY":
            try:
                status = connections.member(node).admin.command("replSetGetStatus")
            except PyMongoError:
                return None
            return _read(replica_set, node, status)
    return None


def _read(replica_set: ReplicaSet, primary: Node, status: dict[str, Any]) -> Standing | None:
    if status["myState"] != 1:
        return None
    seen = {member["name"]: member for member in status["members"]}
    members: dict[str, tuple[str, datetime | None]] = {}
    for node in replica_set.members:
        member = seen.get(node.address)
        if member is None:
            members[node.name] = ("no member of the set", None)
        elif not member.get("health"):
            members[node.name] = ("not reachable for the primary", None)
        else:
            members[node.name] = (member["stateStr"], member.get("optimeDate"))
    return Standing(primary, members)


def hand_over(connections: Connections, replica_set: ReplicaSet, primary: Node) -> Node:
    """Has the primary hand over to a secondary that has all that it has; returns that one.

    A primary that steps down asks such a secondary to step up at once, so writes wait for the
    length of an election among members that talk to each other, not for an election timeout.
    (Asking a secondary directly is no quicker, and refused while writes reach the others first.)
    The connections' timeout must be longer than `CATCH_UP_SECONDS`. Raises ClusterError when no
    secondary can take over.
    """
    command = {"replSetStepDown": AWAY_SECONDS, "secondaryCatchUpPeriodSecs": CATCH_UP_SECONDS}
    problem = ""

    def attempt() -> Node | None:
        nonlocal problem
        leading = [n for n in replica_set.members if look(connections, n).state == "PRIMARY"]
        if others := [node for node in leading if node != primary]:
            return others[0]
        if leading:
            try:
                connections.member(primary).admin.command(command)
            except AutoReconnect:
                pass  # it stepped down while it answered, or was told so by its successor
            except PyMongoError as error:
                problem = f" ({primary.name}: {short(error)})"
        return None

    return Waiter(HANDOVER_SECONDS).until(
        attempt,
        lambda: (
            f"{replica_set.name}: nobody took over from {primary.name} in "
            f"{HANDOVER_SECONDS:.0f} s{problem}: {states(connections, replica_set)}."
        ),
        every=0.02,
    )

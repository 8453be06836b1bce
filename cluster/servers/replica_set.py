"""One replica set: initiate it, get it a primary, keep its timings, say how its members are; and
have its primary hand over to another member."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from cluster.errors import DeadlineError, MismatchError
from cluster.model.layout import Node, ReplicaSet
from cluster.servers.connections import (
    TRANSIENT,
    Connections,
    is_transient,
    listens,
    refusal,
    refused,
    short,
    wrong_key,
)
from cluster.servers.exposure import exposure, open_to_localhost
from cluster.servers.waiting import Waiter

T = TypeVar("T")

NOT_YET_INITIALIZED = 94
ALREADY_INITIALIZED = 23
LEAST_RESIZED_MB = 990
CATCH_UP_SECONDS = 10  # for a secondary to have all that the primary has, or else it stays
AWAY_SECONDS = 20  # in which the one that stepped down does not want to be elected
HANDOVER_SECONDS = 30.0


@dataclass(frozen=True)
class Member:
    """A member as it sees itself: its state (PRIMARY, …) or why it cannot be asked."""

    node: Node
    state: str
    hello: dict[str, Any]

    @property
    def is_settled(self) -> bool:
        """Whether it takes part in the set as it should."""
        return self.state in ("PRIMARY", "SECONDARY")


def look(connections: Connections, node: Node) -> Member:
    """Asks one member how it is. Never raises for a member that is merely in trouble."""
    if not listens(node):
        return Member(node, "not listening", {})
    try:
        hello = connections.member(node).admin.command("hello")
    except OperationFailure as error:
        if refused(error):
            raise wrong_key(node) from None
        return Member(node, short(error), {})
    except PyMongoError as error:
        return Member(node, f"no answer ({short(error)})", {})
    if hello.get("isWritablePrimary"):
        state = "PRIMARY"
    elif hello.get("secondary"):
        state = "SECONDARY"
    elif hello.get("isreplicaset"):
        state = "not initiated"
    else:
        state = "starting or recovering"
    return Member(node, state, hello)


def primary_of(connections: Connections, replica_set: ReplicaSet) -> Node | None:
    """The member that says it is the primary; None while none does."""
    for node in replica_set.members:
        if look(connections, node).state == "PRIMARY":
            return node
    return None


def states(connections: Connections, replica_set: ReplicaSet) -> str:
    """All members and their states in one phrase, for messages."""
    members = [look(connections, node) for node in replica_set.members]
    return ", ".join(f"{member.node.name} {member.state}" for member in members)


def configuration(connections: Connections, node: Node) -> dict[str, Any]:
    """The set's configuration, as one member has it. Raises PyMongoError."""
    answer = connections.member(node).admin.command("replSetGetConfig")
    return dict(answer["config"])


class SetMaker:
    """Brings one replica set into the state that the layout describes."""

    def __init__(  # noqa: PLR0913 - what the set shall be, and what it takes to make it so
        self,
        replica_set: ReplicaSet,
        settings: dict[str, Any],
        connections: Connections,
        waiter: Waiter,
        report: Callable[[str], None],
        *,
        oplog_mb: int | None = None,
    ) -> None:
        self.set = replica_set
        self.settings = settings
        self.oplog_mb = oplog_mb
        self.connections = connections
        self.waiter = waiter
        self.report = report
        self._turn = 0

    def make(self) -> bool:
        """Initiates the set if need be and gets it a primary; whether it had to be initiated."""
        self.waiter.until(
            lambda: all(listens(node) for node in self.set.members) or None,
            lambda: self._late("some members do not listen"),
        )
        fresh = self.waiter.until(self._is_fresh, lambda: self._late("a member does not answer"))
        unlocked = self.waiter.until(self._unlocked, lambda: self._late("a member does not answer"))
        if unlocked:
            raise MismatchError(open_to_localhost(unlocked))
        if fresh:
            self.waiter.until(self._initiate, lambda: self._late("it could not be initiated"))
        self.on_primary(self._check_members)
        return fresh

    def on_primary(self, act: Callable[[Node], T]) -> T:
        """Does something on the primary, again when the primary changes; `act` is idempotent."""
        last = ""

        def attempt() -> tuple[T] | None:
            nonlocal last
            primary = self._primary()
            if primary is None:
                return None
            try:
                return (act(primary),)
            except PyMongoError as error:
                if not is_transient(error):
                    raise refusal(primary, error) from None
                last = f" ({primary.name}: {short(error)})"
                return None

        def late() -> str:
            lost = f"If most of its members lost their data for good: `recover {self.set.name}`."
            return f"{self._late(f'it has no primary{last}')} {lost}"

        return self.waiter.until(attempt, late)[0]

    def settle(self) -> None:
        """Waits until every member is in sync, then sees to votes, timings and oplogs."""
        self.waiter.until(
            lambda: all(look(self.connections, n).is_settled for n in self.set.members) or None,
            lambda: self._late("a member has not caught up"),
            every=0.1,
        )
        self.on_primary(self._set_votes)
        self.on_primary(self._set_timings)
        if self.oplog_mb is not None:
            for node in self.set.members:
                self._set_oplog(node, self.oplog_mb)

    def _late(self, what: str) -> str:
        now = states(self.connections, self.set)
        return f"{self.set.name}: {what} after {self.waiter.seconds:.0f} s: {now}. Look at the log."

    # ---- initiate -----------------------------------------------------------------------------

    def _is_fresh(self) -> bool | None:
        """Whether no member has a configuration; None when one cannot tell yet."""
        fresh = True
        for node in self.set.members:
            try:
                self.connections.member(node).admin.command("replSetGetStatus")
                fresh = False
            except OperationFailure as error:
                if refused(error):
                    raise wrong_key(node) from None
                if error.code != NOT_YET_INITIALIZED:
                    return None
            except PyMongoError:
                return None
        return fresh

    def _unlocked(self) -> list[str] | None:
        """The members whose localhost exception is open; None when one cannot tell yet."""
        try:
            seen = {n.name: exposure(self.connections.member(n)) for n in self.set.members}
        except PyMongoError:
            return None
        return [name for name, one in seen.items() if one.localhost_exception]

    def _initiate(self) -> bool | None:
        members = [{"_id": n, "host": m.address} for n, m in enumerate(self.set.members)]
        config: dict[str, Any] = {
            "_id": self.set.name,
            "members": members,
            "settings": self._hasty(),
        }
        if self.set.is_config:
            config["configsvr"] = True
        first = self.set.members[0]
        try:
            self.connections.member(first).admin.command("replSetInitiate", config)
        except OperationFailure as error:
            if error.code == ALREADY_INITIALIZED:
                return True
            if error.code in TRANSIENT:
                return None
            raise refusal(first, error) from None
        except AutoReconnect:
            return None
        names = ", ".join(m.name for m in self.set.members)
        self.report(f"{self.set.name}: initiated with {names}")
        return True

    def _hasty(self) -> dict[str, Any]:
        """Settings for a set in the making, of which no majority acknowledges anything until a
        second member has copied the data and follows the primary.

        It waits for heartbeats before it copies.
        """
        hasty = min(200, self.settings["heartbeatIntervalMillis"])
        return self.settings | {"heartbeatIntervalMillis": hasty}

    # ---- primary ------------------------------------------------------------------------------

    def _primary(self) -> Node | None:
        """The primary; when there is none, asks a secondary to become it, for waiting costs
        an election timeout."""
        if primary := primary_of(self.connections, self.set):
            return primary
        seen = [look(self.connections, node) for node in self.set.members]
        if secondaries := [member.node for member in seen if member.state == "SECONDARY"]:
            node = secondaries[self._turn % len(secondaries)]
            self._turn += 1
            try:
                self.connections.member(node).admin.command("replSetStepUp")
            except PyMongoError:
                return None  # not electable at the moment; the next round asks another
            return primary_of(self.connections, self.set)
        return None

    # ---- configuration ------------------------------------------------------------------------

    def _check_members(self, primary: Node) -> None:
        config = configuration(self.connections, primary)
        there = {member["host"] for member in config["members"]}
        wanted = {node.address for node in self.set.members}
        if there != wanted:
            missing = ", ".join(sorted(wanted - there)) or "none"
            extra = ", ".join(sorted(there - wanted)) or "none"
            raise MismatchError(
                f"{self.set.name} is a set of other members than described (missing from it: "
                f"{missing}; only in it: {extra}). Correct the description, or use "
                "rs.add/rs.remove, then run it again."
            )

    def _set_votes(self, primary: Node) -> None:
        """Gives members back the votes that `recover` took from them; a set takes one at a time."""
        admin = self.connections.member(primary).admin
        config = configuration(self.connections, primary)
        for member in config["members"]:
            if member["votes"] == 0:
                member |= {"votes": 1, "priority": 1}
                config["version"] += 1
                admin.command("replSetReconfig", config)
                self.report(f"{self.set.name}: {member['host']} votes again")

    def _set_timings(self, primary: Node) -> None:
        admin = self.connections.member(primary).admin
        config = configuration(self.connections, primary)
        now = {name: config["settings"].get(name) for name in self.settings}
        if now != self.settings:
            config["settings"] |= self.settings
            config["version"] += 1
            admin.command("replSetReconfig", config)
            if now != self._hasty():
                changes = [f"{k} is now {v}" for k, v in self.settings.items() if v != now[k]]
                self.report(f"{self.set.name}: {', '.join(changes)}")

    def _set_oplog(self, node: Node, wanted: int) -> None:
        """Resizes one member's oplog, which has the size that it was made with until then.

        Source: https://www.mongodb.com/docs/manual/reference/command/replSetResizeOplog/
        """
        client = self.connections.member(node)
        try:
            now = client["local"].command("collStats", "oplog.rs")["maxSize"] // 2**20
            if now == wanted:
                return
            if wanted < LEAST_RESIZED_MB:
                raise MismatchError(
                    f"oplog_mb is {now} on {node.name} and cannot become {wanted}: MongoDB resizes "
                    f"an oplog to {LEAST_RESIZED_MB} MiB or more. Make it {now} again, or more."
                )
            client.admin.command("replSetResizeOplog", size=float(wanted))
        except PyMongoError as error:
            raise refusal(node, error) from None
        self.report(f"{node.name}: oplog is now {wanted} MiB")


# ---- handing over ------------------------------------------------------------------------------


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
    primary = primary_of(connections, replica_set)
    if primary is None:
        return None
    try:
        status = connections.member(primary).admin.command("replSetGetStatus")
    except PyMongoError:
        return None
    return _read(replica_set, primary, status)


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

    A primary that steps down asks such a secondary to step up immediately, so writes wait for the
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


def relieve(connections: Connections, replica_set: ReplicaSet, node: Node) -> None:
    """Has `node` hand over, if it is the primary and there is somebody else.

    Where nobody takes over in time it stays the primary, without an error: whoever restarts it
    knows whether to do so all the same.
    """
    if len(replica_set.members) > 1 and look(connections, node).state == "PRIMARY":
        with contextlib.suppress(DeadlineError):
            hand_over(connections, replica_set, node)

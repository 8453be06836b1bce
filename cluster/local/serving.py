"""One node at a time: make a primary step down, wait until a started node serves."""

from __future__ import annotations

import contextlib

from pymongo.errors import PyMongoError

from cluster.access import Access
from cluster.errors import NodeError
from cluster.layout import Node
from cluster.local.launcher import Launcher, Program
from cluster.local.programs import why_it_died
from cluster.local.record import Record
from cluster.local.state import State
from cluster.replica_set import look
from cluster.waiting import Waiter


def step_down(access: Access, node: Node) -> None:
    """Hands the primary's role to another member, if this one has it."""
    with access.connections(timeout=5) as connections:
        if look(connections, node).state == "PRIMARY":
            with contextlib.suppress(PyMongoError):  # nobody can step in: it is restarted anyway
                connections.member(node).admin.command("replSetStepDown", 60)


def wait_until_serving(
    state: State, record: Record, program: Program, launcher: Launcher, seconds: float
) -> None:
    """Waits until a member is in sync, or a router answers; NodeError when it dies instead."""
    access = state.access(record)
    members = [member for replica_set in access.layout.sets for member in replica_set.members]
    server = next(node for node in access.layout.nodes if node.name == program.name)
    last = ""

    def watch() -> None:
        for _, status, log_start in launcher.died():
            raise NodeError(why_it_died(program, status, log_start))

    with access.connections(timeout=5) as connections:

        def serves() -> bool | None:
            nonlocal last
            if server in members:
                member = look(connections, server)
                last = member.state
                return member.is_settled or None
            try:
                connections.user(server, "admin", access.passwords["admin"]).admin.command("ping")
            except PyMongoError as error:
                last = str(error)
                return None
            return True

        Waiter(seconds, watch).until(
            serves, lambda: f"{server.name} does not serve: {last}. See {program.log}."
        )

"""The nodes of a local cluster: which there are, and what can be done to a single one."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.access import Access
from cluster.errors import NodeError, StateError
from cluster.layout import Node
from cluster.local.boot import STOP_SECONDS, prepare
from cluster.local.launcher import Launcher, Program, is_alive
from cluster.local.programs import programs
from cluster.local.record import Record
from cluster.local.serving import step_down, wait_until_serving
from cluster.local.state import State
from cluster.replica_set import look, states
from cluster.waiting import Waiter
from console.signals import shielded


def silent(_: str) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class LocalNode:
    """One process: `kind` is config, shard or router; `set_name` is "" for a router."""

    name: str
    kind: str
    set_name: str
    host: str
    port: int
    pid: int | None


class LocalNodes:
    """The nodes that the record of one state folder names."""

    def __init__(self, state: Path) -> None:
        self.state = State(state)

    # ---- looking ------------------------------------------------------------------------------

    def record(self) -> Record:
        """What was made here; StateError when nothing was."""
        record = self.state.load()
        if record is None:
            raise StateError(
                f"there is no cluster in {self.state.folder}. Make one with `up`, "
                "or name its folder with --state."
            )
        return record

    def uri(self, user: str = "admin") -> str:
        """The connection string of admin, app, monitor or backup."""
        return self.state.uri(user)

    def access(self) -> Access:
        """What it takes to reach the servers."""
        return self.state.access(self.record())

    def nodes(self) -> list[LocalNode]:
        """Every node; `pid` is None for one that does not run."""
        record = self.record()
        layout = record.layout()
        running = Launcher().running(self._programs(record).values())
        kinds = [("router", "", node) for node in layout.routers]
        for replica_set in layout.sets:
            kind = "config" if replica_set.is_config else "shard"
            kinds += [(kind, replica_set.name, node) for node in replica_set.members]
        return [
            LocalNode(
                node.name,
                kind,
                set_name,
                node.host,
                node.port,
                running[node.name].pid if node.name in running else None,
            )
            for kind, set_name, node in kinds
        ]

    def node(self, name: str) -> LocalNode:
        """One node by its name."""
        nodes = {node.name: node for node in self.nodes()}
        if name not in nodes:
            raise StateError(f"there is no node {name!r}. There are: {listed(nodes)}.")
        return nodes[name]

    def primary(self, set_name: str, seconds: float = 30) -> LocalNode:
        """The primary of a set (cfg, shard-1, …), waited for."""
        sets = {s.name: s for s in self.record().layout().sets}
        if set_name not in sets:
            raise StateError(f"there is no set {set_name!r}. There are: {listed(sets)}.")
        replica_set = sets[set_name]
        with self.access().connections(timeout=5) as connections:

            def find() -> Node | None:
                for node in replica_set.members:
                    if look(connections, node).state == "PRIMARY":
                        return node
                return None

            node = Waiter(seconds).until(
                find, lambda: f"{set_name} has no primary: {states(connections, replica_set)}."
            )
        return self.node(node.name)

    # ---- single nodes -------------------------------------------------------------------------

    def kill(self, name: str, sig: int = signal.SIGKILL) -> int:
        """Sends a node a signal and returns its process id; after SIGKILL it is gone."""
        pid = self.node(name).pid
        if pid is None:
            raise NodeError(f"{name} does not run. Start it with `up`.")
        process = psutil.Process(pid)
        process.send_signal(sig)
        if sig == signal.SIGKILL:
            gone = Waiter(10).until(
                lambda: True if not is_alive(process) else None,
                lambda: f"{name} (process {pid}) survives SIGKILL. Look at the machine's log.",
                every=0.01,
            )
            assert gone  # noqa: S101
        return pid

    def resume(self) -> None:
        """Lets every node go on that was paused with SIGSTOP."""
        for process in Launcher().running(self._programs(self.record()).values()).values():
            if process.status() == psutil.STATUS_STOPPED:
                process.send_signal(signal.SIGCONT)

    def start(self, name: str, *, seconds: float = 60) -> None:
        """Starts a node, if it does not run, and waits until it serves."""
        self.node(name)
        with self.state.locked():
            record = self.record()
            launcher = Launcher()
            program = prepare(self.state, record, silent)[name]
            if name not in launcher.running([program]):
                launcher.start(program)
            wait_until_serving(self.state, record, program, launcher, seconds)

    def restart(self, name: str, *, seconds: float = 60) -> None:
        """Stops a node cleanly, a primary having stepped down first, and starts it again."""
        node = self.node(name)
        with self.state.locked():
            if len([n for n in self.nodes() if n.set_name == node.set_name != ""]) > 1:
                step_down(self.access(), Node(node.name, node.host, node.port))
            record = self.record()
            program = prepare(self.state, record, silent)[name]
            launcher = Launcher()
            with shielded():  # an interruption shall not leave it stopped
                launcher.stop([program], STOP_SECONDS)
                launcher.start(program)
            wait_until_serving(self.state, record, program, launcher, seconds)

    def _programs(self, record: Record) -> dict[str, Program]:
        return programs(self.state, record, Path("mongod"), ["mongos"])


def listed(names: Iterable[str]) -> str:
    """Names in one phrase, for messages."""
    return ", ".join(sorted(names))

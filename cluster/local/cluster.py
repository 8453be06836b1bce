"""A cluster of processes on this machine, kept in one state folder.

    cluster = LocalCluster(Path(".shardstack"))
    cluster.up(shards=1, members=1)
    cluster.uri("app"), cluster.primary("shard-1").pid
    cluster.down()

Every method may be called at any moment, from any process: what is true is looked up, not
remembered. Only one process at a time may change a cluster; the others get a FileError.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from cluster.errors import NodeError, StateError
from cluster.lifecycle.status import ClusterStatus, MemberStatus, RouterStatus, inspect
from cluster.local import exporter as beside
from cluster.local.boot import (
    MIB_TO_WORK,
    STOP_SECONDS,
    bring_up,
    prepare,
    wait_until_serving,
)
from cluster.local.launcher import Launcher, Program, is_alive
from cluster.local.programs import programs, stoppable
from cluster.local.state import Record, StateFolder
from cluster.model import topology as topologies
from cluster.model.topology import Topology
from cluster.servers.connections import Access
from cluster.servers.replica_set import CATCH_UP_SECONDS, primary_of, relieve, states
from cluster.servers.waiting import Waiter
from console import Report
from console.signals import shielded

CONFIG_STOP_SECONDS = 8.0


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


class LocalCluster:
    """The cluster of one state folder."""

    def __init__(self, state: Path) -> None:
        self.state = StateFolder(state)

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

    def exporter_url(self) -> str | None:
        """Where its exporter listens; None: it has none."""
        return beside.url(self.state)

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
            node = Waiter(seconds).until(
                lambda: primary_of(connections, replica_set),
                lambda: f"{set_name} has no primary: {states(connections, replica_set)}.",
            )
        return self.node(node.name)

    # ---- the whole ----------------------------------------------------------------------------

    def up(
        self,
        topology: Topology | None = None,
        *,
        report: Report = silent,
        phase: Report = silent,
        exporter: bool = False,
        **changes: Any,
    ) -> None:
        """Makes the cluster, or heals it; with its `exporter`, or as it is.

        Without `topology` it is the one that was last started here, else the default. `changes`
        are single values of it. `report` gets a line per change, `phase` one per stretch of the
        work. Raises ClusterError, having stopped whatever it started.
        """
        self._plan(topology, changes)  # a mistake shall leave no trace
        with self.state.locked():
            record = self._plan(topology, changes)
            self._sweep(record)
            bring_up(self.state, record, report, phase)
            if exporter:
                beside.ensure(self.state, record, report)

    def down(self, *, purge: bool = False, report: Report = silent) -> int:
        """Stops every process, the config servers last; `purge` then deletes all that is here.

        Returns how many ran. Raises StateError: the API still works in the folder that shall be
        purged.
        """
        if not self.state.used():
            return 0
        with self.state.locked():
            if purge:
                self.state.assert_unused()
            everything = stoppable(self.state)
            config = [p for p in everything if p.name.startswith("config-")]
            others = [p for p in everything if p not in config]
            launcher = Launcher()
            running = launcher.running(everything)
            beside.stop(self.state)
            killed = launcher.stop(others, STOP_SECONDS)
            killed += launcher.stop(config, CONFIG_STOP_SECONDS)
            if running:
                report(f"stopped {len(running)} processes")
            if killed:
                report(f"killed, since they did not stop in time: {', '.join(killed)}")
            if purge:
                left = self.state.purge()
                report(f"deleted everything in {self.state.folder}")
                if left:
                    report(f"left there, since others made it: {listed(left)}")
        return len(running)

    def add_shard(
        self, wanted: str | None = None, *, report: Report = silent, phase: Report = silent
    ) -> str:
        """Starts a shard, adds it to the cluster and returns its name.

        It may be interrupted and run again: a shard that was begun is finished first, and one that
        is named and there already is made whole. Else it is one more, of a name never used before.
        """
        self.record()
        with self.state.locked():
            record = self.record()
            begun = [name for name in record.shards if name not in record.complete]
            name = wanted
            if name is None and record.complete and begun:
                name = begun[0]
            if name not in record.shards:
                following = record.add_shard()
                if name not in (None, following):
                    raise StateError(
                        f"the next shard is {following}, not {name}. Leave the name out."
                    )
                name = following
            self._sweep(record)
            bring_up(self.state, record, report, phase)
        return name

    def remove_shard(self, name: str, *, report: Report = silent) -> None:
        """Moves all data off a shard, takes it out of the cluster and deletes its processes.

        It may be interrupted and run again.
        """
        from cluster.lifecycle.remove_shard import drain  # noqa: PLC0415 - only this command needs it

        self.record()
        with self.state.locked():
            record = self.record()
            if name not in record.shards:
                raise StateError(f"there is no shard {name!r}. There are: {listed(record.shards)}.")
            if not set(record.shards) - {name, *record.leaving}:
                raise StateError(f"{name} is the last shard. Add another one first (`add-shard`).")
            if name not in record.leaving:
                record.leaving.append(name)
                self.state.save(record)
            seconds = record.profile.orphan_cleanup_seconds
            drain(self.uri("admin"), name, report, orphan_cleanup_seconds=seconds)
            record.retire(name)
            self.state.save(record)
            self._sweep(record)
            report(f"{name}: processes stopped and data folder deleted")

    def status(self) -> ClusterStatus:
        """How the servers are, with each process's id and memory; StateError without a cluster."""
        found = inspect(self.access())
        pids = {node.name: node.pid for node in self.nodes()}
        members = [member for replica_set in found.sets for member in replica_set.members]
        servers: list[MemberStatus | RouterStatus] = [*members, *found.routers]
        for server in servers:
            server.pid = pids[server.name]
            server.rss_mib = _rss(server.pid)
        stopped = [name for name, pid in pids.items() if pid is None]
        found.problems += _what_to_do(self.state.folder, stopped)
        found.healthy = not found.problems
        return found

    def stopped(self) -> str:
        """Why no process runs, in words; "" when one does."""
        if self.state.load() is None:
            return "was never made"
        return "" if any(node.pid for node in self.nodes()) else "does not run"

    def keys(self) -> list[str]:
        """What the key file holds, the key to log in with first."""
        return self.state.keys()

    def write_key(self, keys: Sequence[str]) -> None:
        """Writes the key file; a server reads it when it starts."""
        with self.state.locked():
            self.state.write_key(keys)

    def write_passwords(self, passwords: Mapping[str, str]) -> None:
        """Writes the users' passwords; `make_whole` gives them to the users."""
        with self.state.locked():
            self.state.write_passwords(passwords)

    def make_whole(self, report: Report) -> None:
        """As `up` does."""
        self.up(report=report)

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

    def start(
        self, *names: str, seconds: float = 60, environment: Mapping[str, str] | None = None
    ) -> None:
        """Starts nodes that do not run, all together, and waits until each serves.

        `environment` is added to that of this process.
        """
        for name in names:
            self.node(name)
        with self.state.locked():
            record = self.record()
            launcher = Launcher()
            wanted = prepare(self.state, record, silent)
            running = launcher.running(wanted[name] for name in names)
            for name in names:
                if name not in running:
                    launcher.start(replace(wanted[name], environment=environment or {}))
            for name in names:
                wait_until_serving(self.state, record, wanted[name], launcher, seconds)

    def restart(self, name: str, *, seconds: float = 60) -> None:
        """Stops a node cleanly, a primary having handed over first, and starts it again."""
        self.node(name)
        with self.state.locked():
            record = self.record()
            access = self.state.access(record)
            node = next(node for node in access.layout.nodes if node.name == name)
            if replica_set := access.layout.set_of(node):
                with access.connections(timeout=CATCH_UP_SECONDS + 5) as connections:
                    relieve(connections, replica_set, node)
            program = prepare(self.state, record, silent)[name]
            launcher = Launcher()
            with shielded():  # an interruption shall not leave it stopped
                launcher.stop([program], STOP_SECONDS)
                launcher.start(program)
            wait_until_serving(self.state, record, program, launcher, seconds)

    # ---- inside -------------------------------------------------------------------------------

    def _plan(self, topology: Topology | None, changes: dict[str, Any]) -> Record:
        """The record to bring up; StateError for a change that a running cluster cannot make."""
        record = self.state.load()
        if record is None:
            if topology is None:
                return Record.new(topologies.load(None, changes))
            return Record.new(topology.changed(**changes))
        wanted = (topology or record.topology).changed(**changes)
        record.adopt(wanted)
        return record

    def _sweep(self, record: Record) -> None:
        """Stops and deletes what no longer belongs to the cluster."""
        surplus = [program for program in stoppable(self.state) if program.name in record.surplus]
        Launcher().stop(surplus, STOP_SECONDS)
        for program in surplus:
            shutil.rmtree(program.folder)
        if record.surplus:
            record.surplus.clear()
            self.state.save(record)

    def _programs(self, record: Record) -> dict[str, Program]:
        return programs(self.state, record, Path("mongod"), ["mongos"])


def _what_to_do(folder: Path, stopped: list[str]) -> Iterator[str]:
    """About processes that do not run: a mongod ends when it cannot write; `up` starts it again."""
    free = shutil.disk_usage(folder).free // 2**20
    if free < MIB_TO_WORK:
        yield (
            f"the disk of {folder} is full ({free} MiB are free): members end when they cannot "
            "write. Free some space, then run `up`, which starts them again"
        )
    elif stopped:
        yield f"{listed(stopped)}: not running. Start what is missing with `up`"


def _rss(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss) // 2**20
    except psutil.Error:
        return None


def listed(names: Iterable[str]) -> str:
    """Names in one phrase, for messages."""
    return ", ".join(sorted(names))

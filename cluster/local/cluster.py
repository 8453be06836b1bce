"""A cluster of processes on this machine, kept in one state folder.

    cluster = LocalCluster(Path(".shardstack"))
    cluster.up(shards=1, members=1)
    cluster.uri("app"), cluster.primary("shard-1").pid
    cluster.down()

Every method may be called at any moment, from any process: what is true is looked up, not
remembered. Only one process at a time may change a cluster; the others get a StateError. What
concerns single nodes is in `nodes`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

from cluster import topology as topologies
from cluster.errors import StateError
from cluster.local.boot import STOP_SECONDS, bring_up
from cluster.local.launcher import Launcher
from cluster.local.nodes import LocalNodes, listed, silent
from cluster.local.programs import stoppable
from cluster.local.record import Record
from cluster.local.status import local_status
from cluster.status import ClusterStatus
from cluster.topology import Topology

Report = Callable[[str], None]

CONFIG_STOP_SECONDS = 8.0


class LocalCluster(LocalNodes):
    """The cluster of one state folder."""

    # ---- the whole ----------------------------------------------------------------------------

    def up(
        self,
        topology: Topology | None = None,
        *,
        report: Report = silent,
        phase: Report = silent,
        **changes: Any,
    ) -> None:
        """Makes the cluster, or heals it.

        Without `topology` it is the one that was last started here, else the default. `changes`
        are single values of it. `report` gets a line per change, `phase` one per stretch of the
        work. Raises ClusterError, having stopped whatever it started.
        """
        self._plan(topology, changes)  # a mistake shall leave no trace
        with self.state.locked():
            record = self._plan(topology, changes)
            self._sweep(record)
            bring_up(self.state, record, report, phase)

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
        """Starts one more shard and adds it; returns its name, which was never used before."""
        self.record()
        with self.state.locked():
            record = self.record()
            if wanted not in (None, following := f"shard-{record.next_shard}"):
                raise StateError(
                    f"the next shard is {following}, not {wanted}. Leave the name out."
                )
            name = record.add_shard()
            self._sweep(record)
            bring_up(self.state, record, report, phase)
        return name

    def remove_shard(self, name: str, *, report: Report = silent) -> None:
        """Moves all data off a shard, takes it out of the cluster and deletes its processes.

        It may be interrupted and run again.
        """
        from cluster.drain import drain  # noqa: PLC0415 - only this command needs it

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
        """How the servers are, with each process's id and memory."""
        return local_status(self)

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

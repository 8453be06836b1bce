"""The disk of a shard's primary stands still, and goes on later."""

import time

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Once
from cluster.drill.running.preparing import confine_primary, release_primary
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability

STILL_SECONDS = 1.0
"""Without the journal being synced once, though the load goes on."""


class DiskStalled(Once):
    """Whoever writes to a node's disk waits; reads, and what is in memory, go on."""

    def __init__(self, stage: Stage, name: str, who: str) -> None:
        super().__init__(
            stage, f"the disk of {name}, {who}, stands still", f"{name}: its disk goes on"
        )
        self.name = name
        self._node = next(n for n in stage.layout.nodes if n.name == name)
        self._syncs, self._since = -1, 0.0

    def strike(self) -> None:
        """Freeze the disk."""
        self.stage.target.freeze(self.name)

    def evidence(self) -> str:
        """The member has not synced its journal for a second."""
        status = self.stage.connections.member(self._node).admin.command("serverStatus")
        syncs, now = status["wiredTiger"]["log"]["log sync operations"], time.monotonic()
        if syncs != self._syncs:
            self._syncs, self._since = syncs, now
        if now - self._since < STILL_SECONDS:
            return ""
        return f"{self.name} answers, and has not synced its journal for {STILL_SECONDS:.0f} s"

    def undo(self) -> None:
        """Thaw it."""
        self.stage.target.thaw(self.name)


def plan(stage: Stage) -> Fault:
    """Freeze the disk of the member that was prepared."""
    return DiskStalled(stage, stage.drawn["node"], f"the primary of {stage.shard()}")


SCENARIO = Scenario(
    number=22,
    name="disk-stalled",
    title="The disk of a shard's primary stands still, and goes on later",
    hypothesis="The primary answers heartbeats, so nobody takes over: what writes to the shard "
    "waits until the disk goes on, and is acknowledged then; the other shards go on.",
    expectation=Expectation(gap=10.0, others_gap=0.5, errors=0, elections=0, whole=10),
    plan=plan,
    needs=(Ability.END, Ability.DISK),
    read="The member's log: slow operations, as long as the disk stood still.",
    hold=6.0,
    prepare=confine_primary,
    tidy=release_primary,
)

"""What scenarios make ready before a fault, one member at a time, while the load runs."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.drill.running.scenario import Stage
from cluster.servers.replica_set import hand_over
from cluster.servers.waiting import Waiter

PATIENCE = 60.0


def confine(stage: Stage, names: Sequence[str]) -> None:
    """Give members small disks of their own, with their data on them."""
    for name in names:
        stage.target.kill([name])
        stage.target.confine(name)
        stage.target.start([name])


def release(stage: Stage, names: Sequence[str]) -> None:
    """Have members go back to the disk that they share with the others."""
    for name in names:
        stage.target.kill([name])
        stage.target.release(name)
        stage.target.start([name])


def lead(stage: Stage, name: str) -> None:
    """Make a member the primary of its shard. Raises ClusterError."""
    (one,) = [s for s in stage.layout.shards if name in stage.members(s.name)]

    def leads() -> bool | None:
        primary = stage.watch.primary(one.name)
        if primary is None or primary == name:
            return True if primary else None
        hand_over(stage.connections, one, next(n for n in one.members if n.name == primary))
        return None

    Waiter(PATIENCE).until(
        leads, lambda: f"{name} is not primary after {PATIENCE:.0f} s.", every=0.5
    )


def confine_primary(stage: Stage) -> None:
    """Give a member of the shard a small disk of its own, and make it primary."""
    name = stage.drawn["node"] = stage.secondary(stage.shard())
    confine(stage, [name])
    lead(stage, name)


def release_primary(stage: Stage) -> None:
    """Take that back."""
    release(stage, [stage.drawn["node"]])

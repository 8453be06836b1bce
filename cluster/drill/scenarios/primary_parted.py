"""A shard's primary is cut off from the other members, and from nobody else."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Parted
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Drop what the primary and the other members say to one another."""
    shard = stage.shard()
    primary = stage.primary(shard)
    others = [name for name in stage.members(shard) if name != primary]
    return Parted(stage, primary, f"the primary of {shard}", others)


SCENARIO = Scenario(
    number=26,
    name="primary-parted",
    title="A shard's primary is cut off from the other members, and from nobody else",
    hypothesis="Routers go on to send it writes, which it takes until it steps down; since no "
    "majority has them, none is acknowledged, and what it took is undone when it is back.",
    expectation=Expectation(gap=5.0, elections=1, whole=15),
    plan=plan,
    needs=(Ability.PART,),
    read="The log of the old primary: it can see no majority, and steps down; then what it undid. "
    "The count of files with writes that were put aside is among the events.",
    hold=8.0,
)

"""All members of a shard are killed at the same moment, and started."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill every member of the shard."""
    shard = stage.shard()
    return Kill(stage, stage.members(shard), f"all members of {shard}")


SCENARIO = Scenario(
    number=9,
    name="shard-restarted",
    title="All members of a shard are killed at the same moment, and started",
    hypothesis="Each reads its journal, they elect a primary, and everything that was acknowledged "
    "is there: it was on disk at a majority.",
    expectation=Expectation(gap=15.0, others_gap=0.5, errors=None, whole=20),
    plan=plan,
    needs=(Ability.END,),
    read="The members' logs: how long each read its journal.",
    hold=0.0,
)

"""A shard is added, gets data, and is drained and removed."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Errand
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.scenarios.migration_failover import mover
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Add a shard, move keys to it, and have the command that people run drain it."""
    new, moved = stage.target.next_shard(), stage.shard()
    stage.remember(shard=new)
    return Errand(
        stage,
        f"{new} is added, gets the keys of {moved}, and is drained",
        [("add-shard", new), mover(stage, moved, new), ("remove-shard", new)],
    )


SCENARIO = Scenario(
    number=18,
    name="shard-added-and-drained",
    title="A shard is added, gets data, and is drained and removed",
    hypothesis="Data moves while it is written to; a write waits only while its chunk changes "
    "hands.",
    expectation=Expectation(gap=3.0, elections=0, whole=10),
    plan=plan,
    needs=(Ability.GROW,),
    read="What the commands said, and how long each chunk took.",
    concerns="all",
    hold=0.0,
    through_routers=True,
)

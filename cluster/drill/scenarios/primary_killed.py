"""A shard's primary is killed."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill the primary of the shard."""
    shard = stage.shard()
    return Kill(stage, [stage.primary(shard)], f"the primary of {shard}")


SCENARIO = Scenario(
    number=1,
    name="primary-killed",
    title="A shard's primary is killed",
    hypothesis="The others elect a primary within an election timeout, clients repeat what was in "
    "flight, and nobody sees an error; the other shards go on.",
    expectation=Expectation(elections_gap=1.5, others_slower=2.0, elections=1, whole=30),
    plan=plan,
    needs=(Ability.END,),
    read="The log of the new primary: ELECTION lines, and who had not been heard of for how long.",
    core=True,
)

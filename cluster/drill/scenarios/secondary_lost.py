"""A secondary of a shard is killed."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill one of the shard's secondaries."""
    shard = stage.shard()
    return Kill(stage, [stage.secondary(shard)], f"a secondary of {shard}")


SCENARIO = Scenario(
    number=7,
    name="secondary-lost",
    title="A secondary of a shard is killed",
    hypothesis="The primary and the other secondary are a majority: writes go on without anybody "
    "noticing.",
    expectation=Expectation(gap=0.5, others_slower=2.0, elections=0, whole=30),
    plan=plan,
    needs=(Ability.END,),
    read="Whether the secondary that is left got slower: every majority write waits for it now.",
    core=True,
)

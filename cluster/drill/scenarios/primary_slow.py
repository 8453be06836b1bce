"""Everything that a shard's primary sends arrives 50 ms later."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Slow
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability

DELAY = 0.05


def plan(stage: Stage) -> Fault:
    """Delay the primary's packets."""
    shard = stage.shard()
    return Slow(stage, stage.primary(shard), f"the primary of {shard}", DELAY)


SCENARIO = Scenario(
    number=28,
    name="primary-slow",
    title="What a shard's primary sends arrives 50 ms later",
    hypothesis="A write takes the delay twice, on the way to a secondary and on the way to the "
    "client, and nothing else happens: no heartbeat is late by as much as an election timeout.",
    expectation=Expectation(gap=1.0, others_gap=0.5, elections=0, whole=10),
    plan=plan,
    needs=(Ability.SLOW,),
    read="The latencies during the fault.",
    hold=10.0,
)

"""Everything that a shard's primary sends arrives half a second later."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Slow
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability

DELAY = 0.5


def plan(stage: Stage) -> Fault:
    """Delay the primary's packets."""
    shard = stage.shard()
    return Slow(stage, stage.primary(shard), f"the primary of {shard}", DELAY)


SCENARIO = Scenario(
    number=29,
    name="primary-very-slow",
    title="What a shard's primary sends arrives half a second later",
    hypothesis="Heartbeats come in time, if barely, and every write takes a second or more; if the "
    "others miss the primary all the same, they elect another one, and it is over.",
    expectation=Expectation(gap=5.0, others_gap=0.5, elections=1, whole=15),
    plan=plan,
    needs=(Ability.SLOW,),
    read="Whether there was an election: who had not been heard of for how long.",
    hold=10.0,
)

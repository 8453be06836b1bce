"""A tenth of all packets of a shard's primary is lost."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import CutOff
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability, Way

SHARE = 0.1


def plan(stage: Stage) -> Fault:
    """Drop a share of what the primary says, and of what is said to it."""
    shard = stage.shard()
    return CutOff(stage, stage.primary(shard), f"the primary of {shard}", Way.BOTH, SHARE)


SCENARIO = Scenario(
    number=6,
    name="primary-lossy",
    title="A tenth of the packets of a shard's primary is lost",
    hypothesis="TCP sends again what was lost, after 0.2 s at the least: calls are slower, and the "
    "primary stays, since no heartbeat is late by as much as an election timeout.",
    expectation=Expectation(gap=2.0, elections=1, whole=10),
    plan=plan,
    needs=(Ability.LOSE,),
    read="Whether a heartbeat was late enough for an election all the same.",
    hold=10.0,
)

"""A shard's primary steps down."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import StepDown
from cluster.drill.running.scenario import Fault, Scenario, Stage


def plan(stage: Stage) -> Fault:
    """Tell the primary of the shard to step down."""
    return StepDown(stage, stage.shard())


SCENARIO = Scenario(
    number=2,
    name="primary-stepped-down",
    title="A shard's primary steps down",
    hypothesis="The primary names a successor, which is elected in the time of a few messages: far "
    "less than an election timeout.",
    expectation=Expectation(gap=1.0, others_slower=2.0, elections=1, whole=10),
    plan=plan,
    needs=(),
    read="The log of the old primary: how long it waited for a secondary to catch up.",
    hold=4.0,
    core=True,
)

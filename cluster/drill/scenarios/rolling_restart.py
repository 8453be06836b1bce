"""Every server is restarted, one at a time."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Errand
from cluster.drill.running.scenario import Fault, Scenario, Stage


def plan(stage: Stage) -> Fault:
    """Run the command that people run."""
    return Errand(stage, "a rolling restart of every server", [("rolling-restart",)])


SCENARIO = Scenario(
    number=16,
    name="rolling-restart",
    title="Every server is restarted, one at a time",
    hypothesis="A primary hands over before it is restarted, so each shard waits for an election "
    "that was prepared, and nobody sees an error.",
    expectation=Expectation(gap=1.5, whole=10),
    plan=plan,
    needs=(),
    read="What the command said: who took over from whom.",
    concerns="all",
    hold=0.0,
)

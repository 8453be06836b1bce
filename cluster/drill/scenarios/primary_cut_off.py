"""A shard's primary is cut off from everybody."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import CutOff
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Drop what the primary says and what is said to it."""
    shard = stage.shard()
    return CutOff(stage, stage.primary(shard), f"the primary of {shard}")


SCENARIO = Scenario(
    number=4,
    name="primary-cut-off",
    title="A shard's primary is cut off from everybody",
    hypothesis="The others elect a primary; the old one, which hears from no majority, steps down "
    "by itself, and follows when it is back.",
    expectation=Expectation(gap=5.0, elections=1, whole=15),
    plan=plan,
    needs=(Ability.CUT,),
    read="The log of the old primary: it can see no majority, and steps down; then what it undid.",
    hold=8.0,
    core=True,
)

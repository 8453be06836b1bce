"""A shard's primary stands still, and goes on later."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Standstill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Stop the primary's process, keeping its connections."""
    shard = stage.shard()
    return Standstill(stage, [stage.primary(shard)], f"the primary of {shard}")


SCENARIO = Scenario(
    number=3,
    name="primary-standing-still",
    title="A shard's primary stands still, and goes on later",
    hypothesis="Its connections stay open and say nothing; the others elect a primary, routers "
    "give up the calls that wait for the old one, and when that goes on it finds itself deposed "
    "and undoes what only it had.",
    expectation=Expectation(gap=5.0, elections=1, whole=10),
    plan=plan,
    needs=(Ability.PAUSE,),
    read="The log of the old primary when it goes on: it steps down, and may undo writes that "
    "nobody was told of.",
    hold=8.0,
    core=True,
)

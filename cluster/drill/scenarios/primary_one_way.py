"""A shard's primary is cut off one way: it hears and is not heard, or the reverse."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import CutOff
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability, Way


def plan(stage: Stage) -> Fault:
    """Drop what the primary says, or what is said to it, as chance decides."""
    shard = stage.shard()
    way = Way(stage.draw("way", [Way.MUTE, Way.DEAF]))
    return CutOff(stage, stage.primary(shard), f"the primary of {shard}", way)


SCENARIO = Scenario(
    number=5,
    name="primary-one-way",
    title="A shard's primary hears and is not heard, or is heard and does not hear",
    hypothesis="A connection that carries one way only carries nothing in the end: heartbeats are "
    "not answered, so the others elect a primary, and the old one steps down by itself.",
    expectation=Expectation(gap=5.0, elections=1, whole=15),
    plan=plan,
    needs=(Ability.CUT,),
    read="The log of the old primary: what it took the others for, and when it stepped down.",
    hold=8.0,
)

"""Faults of the other scenarios, one after the other, as a seed decides."""

from cluster.drill.record import Expectation
from cluster.drill.running.scenario import Fault, Scenario, Stage, chosen
from cluster.drill.targets.target import Ability

AMONG = (
    "primary-killed",
    "primary-stepped-down",
    "primary-standing-still",
    "primary-cut-off",
    "secondary-lost",
    "config-primary-lost",
    "router-lost",
    "member-data-lost",
    "two-faults",
)
LONGEST = 6.0


def plan(stage: Stage) -> Fault:
    """Draw a scenario and a shard, and do what that does."""
    there = [one for one in chosen(AMONG) if not one.why_not(stage.target, through_api=False)]
    drawn = {one.name: one for one in there}
    name = stage.draw("fault", list(drawn))
    stage.drawn["shard"] = stage.draw("its shard", [one.name for one in stage.layout.shards])
    stage.hold = min(LONGEST, drawn[name].hold)
    return drawn[name].plan(stage)


SCENARIO = Scenario(
    number=21,
    name="random-faults",
    title="Faults drawn at random, one after the other",
    hypothesis="Whatever one fault leaves behind makes the next one no worse, once the cluster is "
    "whole between them.",
    expectation=Expectation(gap=6.0, whole=60),
    plan=plan,
    needs=(Ability.END, Ability.PAUSE),
    read="The faults that were drawn, in run.json; the seed draws the same ones again.",
    concerns="all",
    hold=180.0,
    repeats=True,
)

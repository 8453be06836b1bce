"""All config servers are killed, and come back."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill every config server."""
    return Kill(stage, stage.members(stage.layout.config.name), "all config servers")


SCENARIO = Scenario(
    number=11,
    name="config-set-lost",
    title="All config servers are killed, and come back",
    hypothesis="Routers and shards go on by the routing table that they know; nothing can be moved "
    "or added until the config servers are back.",
    expectation=Expectation(gap=0.5, errors=0, whole=20),
    plan=plan,
    needs=(Ability.END,),
    read="The routers' logs: what they still did without a routing table to ask for.",
    concerns="all",
    hold=8.0,
)

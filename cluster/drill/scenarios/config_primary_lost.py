"""The config servers' primary is killed."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill the config servers' primary."""
    name = stage.layout.config.name
    return Kill(stage, [stage.primary(name)], "the config servers' primary")


SCENARIO = Scenario(
    number=10,
    name="config-primary-lost",
    title="The config servers' primary is killed",
    hypothesis="Routers know where the data is and go on by what they know; the config servers "
    "elect another primary meanwhile.",
    expectation=Expectation(gap=0.5, whole=30),
    plan=plan,
    needs=(Ability.END,),
    read="The routers' logs: whether they asked for the routing table meanwhile.",
    concerns="all",
    core=True,
)

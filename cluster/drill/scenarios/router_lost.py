"""One router is killed."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill one of the routers."""
    name = stage.draw("node", [router.name for router in stage.layout.routers])
    return Kill(stage, [name], "a router")


SCENARIO = Scenario(
    number=12,
    name="router-lost",
    title="A router is killed",
    hypothesis="Clients know every router, and repeat through another what was in flight.",
    expectation=Expectation(gap=0.5, elections=0, whole=30),
    plan=plan,
    needs=(Ability.END,),
    read="How many calls were in flight: each was repeated once.",
    concerns="all",
    core=True,
)

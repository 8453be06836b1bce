"""A replica of the API is killed."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill one of the replicas."""
    name = stage.draw("replica", stage.target.replicas())
    return Kill(stage, [name], "a replica of the API")


SCENARIO = Scenario(
    number=27,
    name="api-replica-lost",
    title="A replica of the API is killed",
    hypothesis="The proxy asks another replica, also again what the lost one has not answered.",
    expectation=Expectation(gap=0.5, errors=0, elections=0),
    plan=plan,
    needs=(Ability.END, Ability.REPLICAS),
    read="The proxy's log: which requests it sent once more, and to whom.",
    concerns="all",
    core=True,
    through_api=True,
)

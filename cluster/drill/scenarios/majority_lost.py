"""Most members of a shard are killed, and come back."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill the primary and as many others as make a majority."""
    shard = stage.shard()
    members = stage.members(shard)
    primary = stage.primary(shard)
    others = [name for name in members if name != primary]
    stage.chance.shuffle(others)
    lost = [primary, *others[: len(members) // 2]]
    return Kill(stage, lost, f"{len(lost)} of the {len(members)} members of {shard}")


SCENARIO = Scenario(
    number=8,
    name="majority-lost",
    title="Most members of a shard are killed, and come back",
    hypothesis="Without a majority nobody is elected and nothing is acknowledged on that shard; "
    "the others go on. Once the members are back they elect a primary by themselves.",
    expectation=Expectation(others_gap=0.5, others_slower=2.0, errors=None, whole=10),
    plan=plan,
    needs=(Ability.END,),
    read="The log of the member that is left: it steps down, or stays a secondary; and the "
    "clients' errors in the history: calls in flight fail after their deadline.",
    hold=8.0,
)

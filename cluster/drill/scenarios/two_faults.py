"""A primary is killed, and inside the election that follows a router and the config primary."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill, Several
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Kill the primary, and as soon as it is gone the two others."""
    shard = stage.shard()
    router = stage.draw("router", [one.name for one in stage.layout.routers])
    config = stage.layout.config.name

    def second() -> Fault:
        names = [router, stage.primary(config)]
        return Kill(stage, names, "a router, and the config servers' primary")

    first = Kill(stage, [stage.primary(shard)], f"the primary of {shard}")
    return Several(stage, first, second, f"then to {router} and the config servers' primary")


SCENARIO = Scenario(
    number=20,
    name="two-faults",
    title="A primary is killed, and inside that election a router and the config primary",
    hypothesis="The failures do not wait for one another: the shard is back after one election, "
    "clients use the other router, which goes on by the routing table that it knows.",
    expectation=Expectation(elections_gap=2.0, elections=2, whole=30),
    plan=plan,
    needs=(Ability.END,),
    read="The other router's log, about who it takes for the primary meanwhile.",
)

"""A secondary loses its data, and copies it anew from the others."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


class DataLost(Kill):
    """Killed, and its data deleted; when it is started it copies the others'."""

    def strike(self) -> None:
        """Kill it, and delete its data."""
        super().strike()
        for name in self.names:
            self.stage.target.wipe(name)


def plan(stage: Stage) -> Fault:
    """Take a secondary's data away."""
    shard = stage.shard()
    return DataLost(
        stage, [stage.secondary(shard)], f"a secondary of {shard}, and its data is gone"
    )


SCENARIO = Scenario(
    number=19,
    name="member-data-lost",
    title="A secondary loses its data, and copies it anew from the others",
    hypothesis="The others are a majority and go on; the copy costs the member that it is read "
    "from some speed, and afterwards all members hold the same.",
    expectation=Expectation(gap=0.5, elections=0, whole=60),
    plan=plan,
    needs=(Ability.END, Ability.WIPE),
    read="The member's log: INITSYNC lines, how much was copied from whom, and how long it took.",
    hold=3.0,
)

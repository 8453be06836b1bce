"""The clock of a shard's primary is set a minute ahead."""

from datetime import UTC, datetime

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Once
from cluster.drill.running.preparing import lead
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability

SECONDS = 60
CLIENTS = 12
"""As many as the load has: each makes one call at a time."""
NEAR = 5.0
"""Seconds by which the offset that is seen may differ from the one that was set."""


class ClockOff(Once):
    """A node's clock is set, while it runs, and stays so until the node is started again."""

    def __init__(self, stage: Stage, seconds: int, back: str) -> None:
        self.name = stage.drawn["node"]
        how = f"{abs(seconds)} s {'ahead' if seconds > 0 else 'back'}"
        who = f"{self.name}, the primary of {stage.shard()}"
        super().__init__(stage, f"the clock of {who}, is set {how}", f"{self.name}: {back}")
        self._seconds = seconds
        self._node = next(n for n in stage.layout.nodes if n.name == self.name)

    def strike(self) -> None:
        """Set the clock off."""
        self.stage.target.set_clock(self.name, self._seconds)

    def evidence(self) -> str:
        """The member says what time it is."""
        hello = self.stage.connections.member(self._node).admin.command("hello")
        told: datetime = hello["localTime"].replace(tzinfo=UTC)
        offset = (told - datetime.now(UTC)).total_seconds()
        if abs(offset - self._seconds) > NEAR:
            return ""
        return f"{self.name} says that it is {told:%H:%M:%S}, which is {offset:+.1f} s off"


def prepare(stage: Stage) -> None:
    """Start a member with a clock of its own, and make it primary."""
    name = stage.drawn["node"] = stage.secondary(stage.shard())
    stage.target.kill([name])
    stage.target.start_with_clock(name)
    lead(stage, name)


def plan(stage: Stage) -> Fault:
    """Set the clock of the member that was prepared ahead."""
    return ClockOff(stage, SECONDS, "its clock stays as it is")


def tidy(stage: Stage) -> None:
    """Start it again, with the machine's clock."""
    name = stage.drawn["node"]
    stage.target.kill([name])
    stage.target.start([name])


SCENARIO = Scenario(
    number=15,
    name="clock-ahead",
    title="The clock of a shard's primary is set a minute ahead",
    hypothesis="Elections count time spans, and the cluster's logical clock takes the others' with "
    "it. A call that is under way with a time limit may find that it has run out; nobody else "
    "notices.",
    expectation=Expectation(gap=0.5, others_gap=0.5, errors=CLIENTS, elections=0, whole=10),
    plan=plan,
    needs=(Ability.END, Ability.CLOCK),
    read="The member's log: times that jump, and whether it was still heard by the others.",
    hold=10.0,
    prepare=prepare,
    tidy=tidy,
)

"""The disk of a shard's primary is full, and is freed."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Once
from cluster.drill.running.preparing import confine_primary, release_primary
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability, NodeState


class DiskFull(Once):
    """Not a byte is left for a node."""

    def __init__(self, stage: Stage, name: str, who: str) -> None:
        super().__init__(
            stage, f"the disk of {name}, {who}, is full", f"{name}: freed, and started"
        )
        self.name = name

    def strike(self) -> None:
        """Fill the primary's disk."""
        self.stage.target.fill(self.name)

    def evidence(self) -> str:
        """The member has ended, since it cannot write."""
        down = self.stage.target.state(self.name) is NodeState.DOWN
        return f"{self.name} has ended by itself" if down else ""

    def undo(self) -> None:
        """Free it, and start the member."""
        self.stage.target.clear(self.name)
        self.stage.target.start([self.name])


def plan(stage: Stage) -> Fault:
    """Fill the disk of the member that was prepared."""
    return DiskFull(stage, stage.drawn["node"], f"the primary of {stage.shard()}")


SCENARIO = Scenario(
    number=14,
    name="disk-full",
    title="The disk of a shard's primary is full, and is freed",
    hypothesis="A member that cannot write ends, at its next checkpoint or journal file, and the "
    "others elect a primary; once there is space it is started and catches up.",
    expectation=Expectation(gap=5.0, errors=0, elections=1, whole=30),
    plan=plan,
    needs=(Ability.END, Ability.FILL),
    read="The last lines of the member's log: No space left on device.",
    patience=90.0,
    prepare=confine_primary,
    tidy=release_primary,
)

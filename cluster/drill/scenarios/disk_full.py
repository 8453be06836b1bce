"""The disk of a shard's primary is full, and is freed."""

from cluster.drill.faults import Once
from cluster.drill.record import Expectation
from cluster.drill.scenario import Fault, Scenario, Stage
from cluster.drill.target import Ability, NodeState
from cluster.servers.replica_set import hand_over
from cluster.servers.waiting import Waiter

PATIENCE = 60.0


def prepare(stage: Stage) -> None:
    """Give one member a small disk of its own, onto which it copies the data; make it primary."""
    shard = stage.shard()
    name = stage.secondary(shard)
    stage.drawn["node"] = name
    stage.target.kill([name])
    stage.target.wipe(name)
    stage.target.confine(name)
    stage.target.start([name])
    (one,) = [s for s in stage.layout.shards if s.name == shard]

    def leads() -> bool | None:
        primary = stage.watch.primary(shard)
        if primary is None or primary == name:
            return True if primary else None
        hand_over(stage.connections, one, next(n for n in one.members if n.name == primary))
        return None

    Waiter(PATIENCE).until(
        leads, lambda: f"{name} is not primary after {PATIENCE:.0f} s.", every=0.5
    )


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


def tidy(stage: Stage) -> None:
    """The member goes back to the disk that it shares with the others, and copies the data."""
    name = stage.drawn["node"]
    stage.target.kill([name])
    stage.target.release(name)
    stage.target.start([name])


SCENARIO = Scenario(
    number=14,
    name="disk-full",
    title="The disk of a shard's primary is full, and is freed",
    hypothesis="A member that cannot write ends, at its next checkpoint or journal file, and the "
    "others elect a primary; once there is space it is started and catches up.",
    expectation=Expectation(gap=5.0, errors=0, elections=1, whole=30),
    plan=plan,
    needs=(Ability.END, Ability.WIPE, Ability.FILL),
    read="The last lines of the member's log: No space left on device.",
    patience=90.0,
    prepare=prepare,
    tidy=tidy,
)

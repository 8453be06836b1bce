"""A data file of a secondary is damaged while it is down."""

import contextlib

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability, NodeState
from cluster.errors import ClusterError


class FileDamaged(Kill):
    """Killed, and a file overwritten in part. It is started so, and then with no data at all."""

    def __init__(self, stage: Stage, name: str, who: str) -> None:
        super().__init__(stage, [name], who)
        self._damaged = ""

    def strike(self) -> None:
        """Kill it, and overwrite the middle of a file."""
        super().strike()
        self._damaged = self.stage.target.damage(self.names[0])

    def evidence(self) -> str:
        """It is down, and the file is not what it was."""
        down = super().evidence()
        return f"{down}; {self._damaged}" if down else ""

    def undo(self) -> None:
        """Start it, which may fail; then have it copy the others' data."""
        (name,), target = self.names, self.stage.target
        with contextlib.suppress(ClusterError):
            target.start(self.names)
        if target.state(name) is not NodeState.DOWN:
            target.kill(self.names)
        target.wipe(name)
        target.start(self.names)


def plan(stage: Stage) -> Fault:
    """Damage a secondary's largest collection."""
    shard = stage.shard()
    who = f"a secondary of {shard}, a data file of which is damaged"
    return FileDamaged(stage, stage.secondary(shard), who)


SCENARIO = Scenario(
    number=24,
    name="file-damaged",
    title="A data file of a secondary is damaged",
    hypothesis="Checksums tell: the member ends rather than serve what is damaged, or never reads "
    "it; with its data deleted it copies the others', and all hold the same.",
    expectation=Expectation(gap=0.5, elections=0, whole=90),
    plan=plan,
    needs=(Ability.END, Ability.WIPE, Ability.DAMAGE),
    read="The member's log between its two starts: WT_ERROR lines, if it read what was damaged.",
    hold=3.0,
)

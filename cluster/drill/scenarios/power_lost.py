"""All members of a shard lose their power: what was not on disk is gone."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Kill
from cluster.drill.running.preparing import confine, release
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


class PowerLost(Kill):
    """Ended, and the disks forget what they were not told to keep; all are started again."""

    def __init__(self, stage: Stage, names: list[str], who: str) -> None:
        super().__init__(stage, names, who)
        self.text = f"the power of {', '.join(names)}, {who}, is cut"
        self._forgot = ""

    def strike(self) -> None:
        """Cut the power of all members."""
        self._forgot = self.stage.target.cut_power(self.names)

    def evidence(self) -> str:
        """None has a process any more, and each disk has forgotten something."""
        down = super().evidence()
        return f"{down}; {self._forgot}" if down and self._forgot else ""


def prepare(stage: Stage) -> None:
    """Give each member a disk of its own; the primary comes last."""
    confine(stage, _primary_last(stage))


def plan(stage: Stage) -> Fault:
    """Cut the power of every member of the shard."""
    shard = stage.shard()
    return PowerLost(stage, stage.members(shard), f"all members of {shard}")


def tidy(stage: Stage) -> None:
    """All go back to the disk that they share with the others."""
    release(stage, _primary_last(stage))


def _primary_last(stage: Stage) -> list[str]:
    primary = stage.primary(stage.shard())
    return sorted(stage.members(stage.shard()), key=lambda name: name == primary)


SCENARIO = Scenario(
    number=23,
    name="power-lost",
    title="All members of a shard lose their power: what was not on disk is gone",
    hypothesis="A write is acknowledged once the journals of a majority are on disk: so each "
    "member finds in its journal what was acknowledged, and they elect a primary.",
    expectation=Expectation(gap=15.0, others_gap=0.5, errors=None, whole=20),
    plan=plan,
    needs=(Ability.END, Ability.DISK),
    read="The members' logs: how long each read its journal, and from where it recovered.",
    hold=0.0,
    prepare=prepare,
    tidy=tidy,
)

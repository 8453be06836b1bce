"""A backup is written, and then the servers' key is changed."""

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Errand
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.targets.target import Ability


def plan(stage: Stage) -> Fault:
    """Run the commands that people run; the backup is deleted again."""
    return Errand(
        stage,
        "a backup, then a change of the servers' key",
        [("dump", stage.target.backup), stage.target.discard_backup, ("rotate-key",)],
    )


SCENARIO = Scenario(
    number=25,
    name="backup-and-new-key",
    title="A backup is written, and then the servers' key is changed",
    hypothesis="A backup reads what was at one moment, for which nobody waits; a new key takes two "
    "rolling restarts, in which each primary hands over.",
    expectation=Expectation(gap=1.5, whole=10),
    plan=plan,
    needs=(Ability.REKEY,),
    read="What the commands said, with their times.",
    concerns="all",
    hold=0.0,
)

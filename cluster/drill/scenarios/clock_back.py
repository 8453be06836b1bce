"""The clock of a shard's primary is set back by a minute, until the member is started again."""

from cluster.drill.record import Expectation
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.scenarios.clock_ahead import SECONDS, ClockOff, prepare
from cluster.drill.targets.target import Ability


class ClockBack(ClockOff):
    """It is taken back by starting the member again: threads may wait for a moment of the day."""

    def undo(self) -> None:
        """Start the member again, with the machine's clock."""
        self.stage.target.kill([self.name])
        self.stage.target.start([self.name])


def plan(stage: Stage) -> Fault:
    """Set the clock of the member that was prepared back."""
    return ClockBack(stage, -SECONDS, "killed, and started with the right clock")


SCENARIO = Scenario(
    number=30,
    name="clock-back",
    title="The clock of a shard's primary is set back by a minute, until it is started again",
    # mongod waits for moments of the day: wiredtiger_oplog_manager.cpp, _updateOplogVisibilityLoop.
    hypothesis="A thread that waits for a moment of the day may wait a minute longer. If it is the "
    "one that shows new writes to the secondaries, majority writes wait, while the primary answers "
    "heartbeats and stays primary; another one is elected when it is started again.",
    expectation=Expectation(gap=15.0, others_gap=0.5, elections=1, whole=30),
    plan=plan,
    needs=(Ability.END, Ability.CLOCK),
    read="The history: for how long no write of the shard was acknowledged before the restart.",
    hold=8.0,
    prepare=prepare,
)

"""A worker process of the API is killed."""

import time

from cluster.drill.record import Expectation
from cluster.drill.running.faults import Once
from cluster.drill.running.scenario import Scenario, Stage
from cluster.drill.targets.target import Ability

CLIENTS = 12
"""As many as the load has: each waits for one answer at a time."""


LOOK_EVERY = 0.5
"""Seconds; to look for the workers takes the processor time that clients and servers need."""


class WorkerKilled(Once):
    """SIGKILL to one worker; whoever looks after the workers starts another."""

    def __init__(self, stage: Stage) -> None:
        self.before = stage.target.workers(stage.url)
        self._look_at = 0.0
        self.pid = int(stage.draw("worker", [str(pid) for pid in self.before]))
        super().__init__(
            stage, f"SIGKILL to process {self.pid}, one of {len(self.before)} workers of the API"
        )

    def strike(self) -> None:
        """Kill the worker."""
        self._look_at = time.monotonic() + LOOK_EVERY
        self.stage.target.kill_worker(self.pid)

    def evidence(self) -> str:
        """It is gone, and another one serves in its place."""
        if time.monotonic() < self._look_at:
            return ""
        self._look_at = time.monotonic() + LOOK_EVERY
        now = self.stage.target.workers(self.stage.url)
        if self.pid in now or len(now) < len(self.before):
            return ""
        new = ", ".join(str(pid) for pid in now if pid not in self.before)
        return f"process {self.pid} is gone, and process {new} serves in its place"


SCENARIO = Scenario(
    number=13,
    name="api-worker-lost",
    title="A worker of the API is killed",
    hypothesis="The other workers go on, and the master starts another one in a tenth of a second. "
    "The requests that the worker had are repeated by the proxy before the API; where there is "
    "none, they alone are lost, at most one for each client.",
    expectation=Expectation(gap=0.5, errors=0, elections=0),
    direct=Expectation(gap=0.5, errors=CLIENTS, elections=0),
    plan=WorkerKilled,
    needs=(Ability.WORKERS,),
    read="The API's log: the master's line about the worker that ended.",
    concerns="all",
    core=True,
    through_api=True,
)

"""The faults that scenarios are made from. Each proves that it took effect.

A fault that did not would make every drill green.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from pymongo.errors import AutoReconnect, PyMongoError

from cluster.drill.scenario import Fault, Stage
from cluster.drill.target import NodeState, Way
from cluster.errors import ClusterError
from cluster.servers.connections import short
from cluster.servers.replica_set import AWAY_SECONDS, CATCH_UP_SECONDS


class Once:
    """A fault that is over as soon as it is done, and leaves nothing to take back."""

    def __init__(self, stage: Stage, text: str) -> None:
        self.stage = stage
        self.text = text

    def lasts(self) -> bool:
        """Not by itself."""
        return False

    def undo(self) -> None:
        """There is nothing to take back."""


class Kill(Once):
    """SIGKILL to nodes, all at once; they are started again."""

    def __init__(self, stage: Stage, names: Sequence[str], who: str) -> None:
        super().__init__(stage, f"SIGKILL to {', '.join(names)}, {who}")
        self.names = names

    def strike(self) -> None:
        """Kill them."""
        self.stage.target.kill(self.names)

    def evidence(self) -> str:
        """Nobody has such a process any more."""
        down = [n for n in self.names if self.stage.target.state(n) is NodeState.DOWN]
        return f"{', '.join(down)}: no process any more" if len(down) == len(self.names) else ""

    def undo(self) -> None:
        """Start them."""
        self.stage.target.start(self.names)


class Standstill(Once):
    """Nodes stand still: their machines keep the connections, and accept new ones."""

    def __init__(self, stage: Stage, names: Sequence[str], who: str) -> None:
        super().__init__(stage, f"SIGSTOP to {', '.join(names)}, {who}")
        self.names = names

    def strike(self) -> None:
        """Stop them."""
        self.stage.target.pause(self.names)

    def evidence(self) -> str:
        """Every process is stopped."""
        still = [n for n in self.names if self.stage.target.state(n) is NodeState.PAUSED]
        return f"{', '.join(still)}: stopped" if len(still) == len(self.names) else ""

    def undo(self) -> None:
        """Let them go on."""
        self.stage.target.resume(self.names)


HINDERED = {
    Way.BOTH: "cut off from everybody",
    Way.MUTE: "it hears the others, and is not heard",
    Way.DEAF: "it is heard, and does not hear",
}
LEAST_DROPPED = 5


class CutOff(Once):
    """Packets of a node are dropped, from and to everybody, and nobody is told."""

    def __init__(
        self, stage: Stage, name: str, who: str, way: Way = Way.BOTH, share: float = 1.0
    ) -> None:
        how = HINDERED[way] if share == 1 else f"{share:.0%} of its packets are lost"
        super().__init__(stage, f"{name}, {who}: {how}")
        self.name, self.way, self.share = name, way, share

    def strike(self) -> None:
        """Drop them."""
        self.stage.target.cut([self.name], self.way, self.share)

    def evidence(self) -> str:
        """Packets were dropped."""
        dropped = self.stage.target.dropped(self.name)
        return f"{dropped} packets of {self.name} were dropped" if dropped >= LEAST_DROPPED else ""

    def undo(self) -> None:
        """Let them pass."""
        self.stage.target.join([self.name])


class StepDown(Once):
    """A primary is told to step down, and does not want to be elected for a while."""

    def __init__(self, stage: Stage, set_name: str) -> None:
        self.set_name = set_name
        self.name = stage.primary(set_name)
        super().__init__(stage, f"{self.name}, the primary of {set_name}, steps down")
        self._term = 0

    def strike(self) -> None:
        """Tell it."""
        self._term = self.stage.watch.term(self.set_name)
        node = next(n for n in self.stage.layout.nodes if n.name == self.name)
        command = {"replSetStepDown": AWAY_SECONDS, "secondaryCatchUpPeriodSecs": CATCH_UP_SECONDS}
        try:
            self.stage.connections.member(node).admin.command(command)
        except AutoReconnect:
            pass  # it stepped down while it answered
        except PyMongoError as error:
            raise ClusterError(f"{self.name} does not step down: {short(error)}.") from None

    def evidence(self) -> str:
        """Another member leads, in a later term."""
        term, now = self.stage.watch.term(self.set_name), self.stage.watch.primary(self.set_name)
        if term > self._term and now not in (None, self.name):
            return f"{now} became primary in term {term}, after {self._term}"
        return ""


class Several(Once):
    """One fault, and another `after` seconds later: inside the election that the first one causes.

    The second is made only then, from the cluster as it is by then.
    """

    def __init__(self, stage: Stage, first: Fault, second: Callable[[], Fault], text: str) -> None:
        super().__init__(stage, f"{first.text}; {text}")
        self._faults = [first]
        self._second = second

    def strike(self) -> None:
        """Do the first."""
        self._faults[0].strike()

    def evidence(self) -> str:
        """Each fault's own; the second is done once the first is seen."""
        if len(self._faults) == 1:
            if not self._faults[0].evidence():
                return ""
            self._faults.append(self._second())
            self._faults[1].strike()
        found = [fault.evidence() for fault in self._faults]
        return "; ".join(found) if all(found) else ""

    def undo(self) -> None:
        """Take all back."""
        for fault in self._faults:
            fault.undo()


class Errand(Once):
    """Work on the cluster that is a fault to its clients: a restart, a move, a backup.

    `work` says what it has done, line by line; it has taken effect once it said something, or has
    ended. `tidy` takes back what it leaves.
    """

    def __init__(
        self,
        stage: Stage,
        text: str,
        work: Callable[[Callable[[str], None]], None],
        tidy: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(stage, text)
        self._work, self._tidy = work, tidy
        self._said: list[str] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="drill-errand", daemon=True)

    def strike(self) -> None:
        """Set out."""
        self._thread.start()

    def evidence(self) -> str:
        """What it has done until now. Raises what made it fail."""
        self._raise()
        if self._said:
            return self._said[-1]
        return "" if self._thread.is_alive() else "it was done"

    def lasts(self) -> bool:
        """Until it is done."""
        self._raise()
        return self._thread.is_alive()

    def undo(self) -> None:
        """Wait for its end, and tidy up."""
        self._thread.join()
        self._raise()
        self._tidy()

    def _run(self) -> None:
        try:
            self._work(self._said.append)
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for it
            self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

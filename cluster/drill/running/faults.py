"""The faults that scenarios are made from. Each proves that it took effect.

A fault that did not would make every drill green.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from pymongo.errors import AutoReconnect, PyMongoError

from cluster.drill.running.scenario import Fault, Stage
from cluster.drill.targets.target import NodeState, Way
from cluster.errors import ClusterError
from cluster.servers.connections import short
from cluster.servers.replica_set import AWAY_SECONDS, CATCH_UP_SECONDS

Step = Sequence[str] | Callable[[], str]
CANCEL_SECONDS = 60.0


class Once:
    """A fault that is over as soon as it is done, and leaves nothing to take back."""

    def __init__(self, stage: Stage, text: str, back: str = "it is over by itself") -> None:
        self.stage = stage
        self.text, self.back = text, back

    def lasts(self) -> bool:
        """It never lasts: it is over once it is done."""
        return False

    def undo(self) -> None:
        """There is nothing to take back."""

    def cancel(self) -> None:
        """There is nothing that goes on."""


class Kill(Once):
    """SIGKILL to nodes, all at once; they are started again."""

    def __init__(self, stage: Stage, names: Sequence[str], who: str) -> None:
        named = ", ".join(names)
        super().__init__(stage, f"SIGKILL to {named}, {who}", f"{named}: started again")
        self.names = names

    def strike(self) -> None:
        """Kill the nodes, all together."""
        self.stage.target.kill(self.names)

    def evidence(self) -> str:
        """None of the nodes has a process any more."""
        down = [n for n in self.names if self.stage.target.state(n) is NodeState.DOWN]
        return f"{', '.join(down)}: no process any more" if len(down) == len(self.names) else ""

    def undo(self) -> None:
        """Start the nodes again."""
        self.stage.target.start(self.names)


class Standstill(Once):
    """Nodes stand still: their machines keep the connections, and accept new ones."""

    def __init__(self, stage: Stage, names: Sequence[str], who: str) -> None:
        named = ", ".join(names)
        super().__init__(stage, f"SIGSTOP to {named}, {who}", f"SIGCONT to {named}")
        self.names = names

    def strike(self) -> None:
        """Stop the nodes' processes."""
        self.stage.target.pause(self.names)

    def evidence(self) -> str:
        """The process of every node is stopped."""
        still = [n for n in self.names if self.stage.target.state(n) is NodeState.PAUSED]
        return f"{', '.join(still)}: stopped" if len(still) == len(self.names) else ""

    def undo(self) -> None:
        """Let the processes go on."""
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
        super().__init__(stage, f"{name}, {who}: {how}", f"{name}: all its packets pass again")
        self.name, self.way, self.share = name, way, share

    def strike(self) -> None:
        """Begin to drop the node's packets."""
        self.stage.target.cut([self.name], self.way, self.share)

    def evidence(self) -> str:
        """Some packets of the node were dropped."""
        dropped = self.stage.target.dropped(self.name)
        return f"{dropped} packets of {self.name} were dropped" if dropped >= LEAST_DROPPED else ""

    def undo(self) -> None:
        """Let the node's packets pass again."""
        self.stage.target.join([self.name])


class Parted(CutOff):
    """Packets between a node and some others are dropped; everybody else reaches both sides."""

    def __init__(self, stage: Stage, name: str, who: str, others: Sequence[str]) -> None:
        super().__init__(stage, name, who)
        self.text = f"{name}, {who}: cut off from {', '.join(others)}, and from nobody else"
        self.others = others

    def strike(self) -> None:
        """Begin to drop the packets between them."""
        self.stage.target.part(self.name, self.others)

    def undo(self) -> None:
        """Let all packets pass again."""
        self.stage.target.join([self.name, *self.others])


class Slow(Once):
    """What a node sends arrives later, whoever it is for; what is sent to it does not."""

    def __init__(self, stage: Stage, name: str, who: str, seconds: float) -> None:
        super().__init__(
            stage,
            f"{name}, {who}: what it sends arrives {seconds * 1000:.0f} ms later",
            f"{name}: what it sends arrives as it is sent",
        )
        self.name, self.seconds = name, seconds
        self._node = next(n for n in stage.layout.nodes if n.name == name)
        self._usual = self._ping()

    def strike(self) -> None:
        """Begin to delay the node's packets."""
        self.stage.target.slow([self.name], self.seconds)

    def evidence(self) -> str:
        """The node answers that much later than it did."""
        now = self._ping()
        if now < self.seconds:
            return ""
        return (
            f"{self.name} answers a ping after {now * 1000:.0f} ms, "
            f"and before after {self._usual * 1000:.1f}"
        )

    def undo(self) -> None:
        """Let the node's packets pass as they come."""
        self.stage.target.join([self.name])

    def _ping(self) -> float:
        began = time.monotonic()
        self.stage.connections.member(self._node).admin.command("ping")
        return time.monotonic() - began


class StepDown(Once):
    """A primary is told to step down, and does not want to be elected for a while."""

    def __init__(self, stage: Stage, set_name: str) -> None:
        self.set_name = set_name
        self.name = stage.primary(set_name)
        super().__init__(stage, f"{self.name}, the primary of {set_name}, steps down")
        self._term = 0

    def strike(self) -> None:
        """Tell the primary to step down."""
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
        super().__init__(stage, f"{first.text}; {text}", "all of it is taken back")
        self._faults = [first]
        self._second = second

    def strike(self) -> None:
        """Do the first fault; the second follows its evidence."""
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
        """Take back every fault that was done."""
        for fault in self._faults:
            fault.undo()

    def lasts(self) -> bool:
        """It lasts while one of its faults does."""
        return any(fault.lasts() for fault in self._faults)

    def cancel(self) -> None:
        """End those faults that still go on."""
        for fault in self._faults:
            fault.cancel()


class Errand(Once):
    """Work on the cluster that is a fault to its clients: commands, one after the other.

    A step is the words of a command, which runs as a process of its own; or something to do here,
    for which nobody else must wait. The errand has taken effect once a step has said something.
    """

    def __init__(self, stage: Stage, text: str, steps: Sequence[Step]) -> None:
        super().__init__(stage, text, "the work is done")
        self._steps = steps
        self._said: list[str] = []
        self._error: BaseException | None = None
        self._process: subprocess.Popen[str] | None = None
        self._off = False
        self._thread = threading.Thread(target=self._run, name="drill-errand", daemon=True)

    def strike(self) -> None:
        """Start the work, in a thread of its own."""
        self._thread.start()

    def evidence(self) -> str:
        """The first line that a step printed. Raises the error that ended the work."""
        self._raise()
        return next(iter(self._said), "")

    def lasts(self) -> bool:
        """It lasts until the work is done. Raises the error that ended it."""
        self._raise()
        return self._thread.is_alive()

    def undo(self) -> None:
        """Wait for the work's end. Nothing else is to be taken back."""
        self._thread.join()
        self._raise()

    def cancel(self) -> None:
        """End it, as by Ctrl-C, so that something else may be done to the cluster."""
        self._off = True
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(CANCEL_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _run(self) -> None:
        try:
            for step in self._steps:
                if self._off:
                    return
                if callable(step):
                    self._said.append(step())
                else:
                    self._command(step)
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for it
            self._error = error

    def _command(self, words: Sequence[str]) -> None:
        # In a session of its own: Ctrl-C is for the drill, which ends it.
        self._process = process = subprocess.Popen(
            self.stage.target.command(words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.stage.remember(errand=process.pid)
        assert process.stdout is not None  # noqa: S101
        last = ""
        with process.stdout as lines:
            for line in lines:
                last = " ".join(line.split())
                self._said.append(f"{words[0]}: {last}")
        status = process.wait()
        self.stage.remember(errand=0)
        if status != 0 and not self._off:
            raise ClusterError(f"`{' '.join(words)}` ended with {status}: {last}")

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

"""One run of one scenario: a load, a fault in the middle of it, and everything made whole again.

The order, for each fault of a run: the load runs and is calm; the moment is drawn; what is about to
be done is noted in the target's folder; it is done; there is evidence that it took effect, or the
run has failed; it is kept up; it is taken back; the cluster is whole. At the end every key is read,
members are compared, and the run's folder is written. Whatever ends a run, the cluster is healed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import itertools
import os
import platform
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pymongo
from msgspec import structs
from pymongo.errors import PyMongoError

from cluster.drill import record
from cluster.drill.history import Guarantee, HistoryFile, Progress
from cluster.drill.load.mongo import MongoStore
from cluster.drill.load.workload import Load, Workload
from cluster.drill.record import Event, LoadUsed, Run, What
from cluster.drill.running.book import Book
from cluster.drill.running.guard import Guard, StoppedError
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.running.stores import Maker, Through, drop, opened
from cluster.drill.running.watch import Watch
from cluster.drill.targets import whole
from cluster.drill.targets.target import Api, Note, Target, drop_note, read_note, write_note
from cluster.errors import ClusterError, DrillError
from cluster.model.layout import Node
from cluster.servers.connections import Connections
from cluster.servers.routers import router_kind
from cluster.servers.waiting import Waiter
from console import files
from console.signals import Interrupted, came, shielded

T = TypeVar("T")

CALM_WRITES = 20
"""Acknowledged writes of each group before the first fault."""
CALM_SECONDS = 5.0
"""Without an error, before each fault: what "before" is in reports."""
CALM_PATIENCE = 60.0
WHOLE_SECONDS = 180.0
AFTER_SECONDS = 2.0
"""That the load goes on once all is whole."""
EQUAL_SECONDS = 30.0
FIT_SECONDS = 3.0
LOOK = 0.05
CLIENTS = 12


@dataclass(frozen=True)
class Options:
    """How a run is made. `rate` is calls in a second, 0 a closed loop; `maximum` as measured.

    `hold` is how long a fault is kept up; None: as the scenario says. `make` makes what the load
    writes to through routers.
    """

    seed: int
    through: Through = Through.ROUTERS
    api: Api | None = None
    faults: int = 1
    hold: float | None = None
    rate: float = 0.0
    maximum: float = 0.0
    clients: int = CLIENTS
    make: Maker = MongoStore


class View(Protocol):
    """What shows a run to a person while it goes on."""

    def event(self, event: Event, origin: int) -> None:
        """Something happened; `origin` is the moment that counts as 0."""

    def say(self, line: str) -> None:
        """Something is about to be done."""

    def load(self, progress: Callable[[], Progress] | None, watch: Watch | None) -> None:
        """A load begins, and what may be asked about it; or it has ended (None)."""


def assert_fit(target: Target) -> None:
    """The safety catch. Raises DrillError with every reason not to break this cluster."""
    if read_note(target) is not None:
        raise DrillError(f"a drill was broken off here. Heal first: {target.healing}")
    end = time.monotonic() + FIT_SECONDS
    while (unfit := target.unfit()) and time.monotonic() < end:
        time.sleep(LOOK)  # a member of an idle set seems to lag in the moment of the next write
    if unfit:
        raise DrillError(
            f"not begun, since the cluster is not fit to be broken: {'; '.join(unfit)}. "
            "Make it whole first (`up`; see `status`)."
        )


def run(target: Target, scenario: Scenario, options: Options, folder: Path, view: View) -> Run:
    """Run it, leave everything in `folder`, and heal the cluster.

    A run that proves nothing is not an error: its record says why (`Run.failed`). Raises
    DrillError: it was not begun; Interrupted, once the cluster is healed.
    """
    assert_fit(target)
    folder.mkdir(parents=True, exist_ok=True)
    return _Runner(target, scenario, options, folder, view).run()


class _Runner:
    def __init__(
        self, target: Target, scenario: Scenario, options: Options, folder: Path, view: View
    ) -> None:
        self.target = target
        self.scenario = scenario
        self.options = options
        self.folder = folder
        self.view = view
        self.began = datetime.now(UTC)
        self.book = Book(lambda event: view.event(event, self.book.origin))
        self.note = Note(scenario.name, self.began.isoformat(), os.getpid())
        self.layout = target.access().layout
        self.failed = ""
        self.findings: list[str] = []
        self.used = LoadUsed(options.clients, options.rate, maximum=options.maximum)
        self.stage: Stage | None = None
        self.fault: Fault | None = None
        self.versions: dict[str, str] = {}
        self.ended = 0

    def run(self) -> Run:
        try:
            with contextlib.ExitStack() as stack:
                self._run(stack)
        except StoppedError as error:
            self.book.add(What.STOPPED, str(error))
            self.failed = f"stopped: {error}"
        except ClusterError as error:
            self.failed = str(error)
        except PyMongoError as error:
            self.failed = f"the cluster does not answer: {error}"
        except Interrupted:
            self.failed = "interrupted"
            raise
        finally:
            with shielded():
                self._close()
        return self._record()

    def _close(self) -> None:
        """Heal if there is anything to heal, then write what there is."""
        try:
            if read_note(self.target) is not None:
                heal(self.target, self.view.say)
        except ClusterError as error:
            self.failed = f"{self.failed or 'it ran'}; and the cluster was not healed: {error}"
            raise
        finally:
            self.ended = time.monotonic_ns()
            self.target.save_logs(
                self.folder / "logs", self.began, datetime.now(UTC) + timedelta(seconds=1)
            )
            record.write(self.folder, self._record())

    # ---- the run ------------------------------------------------------------------------------

    def _run(self, stack: contextlib.ExitStack) -> None:
        options = self.options
        access = self.target.access()
        connections = stack.enter_context(access.connections(timeout=15))
        self.versions = _versions(access.passwords["admin"], connections, self.layout.routers[0])
        watch = stack.enter_context(Watch(access, self.book.elected))
        if not watch.wait_until_known(10):
            raise DrillError("not every set has a primary. Run `up`, and see `status`.")
        file = stack.enter_context(HistoryFile(self.folder / "history.jsonl"))
        write_note(self.target, self.note)  # the load's collection is something to take back
        store = stack.enter_context(opened(self.target, options.through, options.api, options.make))
        self.stage = stage = Stage(
            target=self.target,
            layout=self.layout,
            connections=connections,
            watch=watch,
            chance=random.Random(options.seed),  # noqa: S311 - repeatable, and no secret
            hold=self.scenario.hold if options.hold is None else options.hold,
            store=store,
            remember=self._remember,
            url=options.api.url if options.api else "",
        )
        stage.shard()
        load = Load(
            clients=options.clients, keys=options.clients, seed=options.seed, rate=options.rate
        )
        self.guard = Guard(
            self.target,
            watch,
            errors_allowed=self.scenario.promised(self.target).errors is None,
            bereft=self.scenario.bereft,
        )
        workload = Workload(store, load, file)
        self.workload = workload
        try:
            self._load(stage)
        except BaseException:
            with shielded():  # the history is of use all the same
                if self.fault is not None:
                    self.fault.cancel()
                restore(self.target, self.view.say)
                workload.finish()
                self._tidy()
            raise
        workload.finish()
        self._compare()
        self._tidy()

    def _remember(self, **what: Any) -> None:
        """Note something that `heal` cannot see by itself, before it is done."""
        self.note = structs.replace(self.note, **what)
        write_note(self.target, self.note)

    def _tidy(self) -> None:
        """Nothing is left to take back."""
        drop(self.target)
        drop_note(self.target)

    def _load(self, stage: Stage) -> None:
        """The load, and all faults within it."""
        options = self.options
        cpu, since = time.process_time(), time.monotonic()
        try:
            with self.workload:
                self.view.load(self.workload.progress, stage.watch)
                end = time.monotonic() + stage.hold
                for turn in itertools.count():
                    self.book.turn = stage.turn = turn
                    self._turn(stage)
                    over = time.monotonic() > end if self.scenario.repeats else False
                    if over or (not self.scenario.repeats and turn + 1 == options.faults):
                        break
                self._wait(AFTER_SECONDS)
        finally:
            self.view.load(None, None)
            seconds = time.monotonic() - since
            cores = (time.process_time() - cpu) / seconds
            self.used = LoadUsed(
                options.clients, options.rate, seconds, options.maximum, round(cores, 3)
            )

    def _turn(self, stage: Stage) -> None:
        """One fault, from the calm before it until all is whole again."""
        if self.scenario.prepare is not None:
            self._remember(deeds=[*self.note.deeds, f"makes ready for: {self.scenario.title}"])
            self.scenario.prepare(stage)
        self._calm()
        self.fault = fault = self.scenario.plan(stage)
        after = stage.chance.uniform(
            0, (self.layout.heartbeat_interval_ms + self.layout.election_timeout_ms) / 1000
        )
        stage.drawn[f"moment {stage.turn + 1}"] = f"{after:.3f} s after the calm"
        self._wait(after)
        self._remember(deeds=[*self.note.deeds, fault.text])
        self.book.add(What.FAULT, fault.text)
        self.workload.mark(fault.text)
        fault.strike()
        self._evidence(fault)
        self._keep_up(fault, stage.hold)
        undone = time.monotonic_ns()
        fault.undo()
        self.book.add(What.UNDONE, fault.back, undone)
        self.book.add(What.WHOLE, self._whole())
        if self.scenario.tidy is not None:
            self.book.add(What.TIDY, "what was made ready for the fault is taken back")
            self.scenario.tidy(stage)
            self._whole()
        self.fault = None

    def _calm(self) -> None:
        """Every group is written to, and for a while no call fails."""
        for group in [shard.name for shard in self.layout.shards]:
            try:
                self.workload.wait_for_writes(CALM_WRITES, group, CALM_PATIENCE)
            except TimeoutError as error:
                raise DrillError(f"the load does not get going: {error}.") from None
        end = time.monotonic() + CALM_PATIENCE
        while True:
            errors = self.workload.progress().errors
            self._wait(CALM_SECONDS)
            if self.workload.progress().errors == errors:
                return
            if time.monotonic() > end:
                raise DrillError(
                    f"calls fail without a fault, for {CALM_PATIENCE:.0f} s. See the history."
                )

    def _evidence(self, fault: Fault) -> None:
        patience = self.scenario.patience
        found = self._until(fault.evidence, patience)
        if not found:
            raise DrillError(
                f"the fault did not take effect in {patience:.0f} s: {fault.text}. "
                "So this run proves nothing."
            )
        self.book.add(What.EVIDENCE, found)

    def _keep_up(self, fault: Fault, seconds: float) -> None:
        end = time.monotonic() + seconds
        while fault.lasts() or time.monotonic() < end:
            self._wait(LOOK)

    def _whole(self) -> str:
        """Wait until all is whole; how that is seen."""
        access = self.target.access()  # a fault may have changed the key, or added a shard
        why = "it was not asked"

        def is_whole() -> str:
            nonlocal why
            why = whole.missing(access, connections)
            return "" if why else "every member follows its primary, every router serves"

        with access.connections(timeout=5) as connections:
            found = self._until(is_whole, WHOLE_SECONDS)
        if not found:
            raise DrillError(f"not whole {WHOLE_SECONDS:.0f} s after the fault: {why}.")
        return found

    def _compare(self) -> None:
        """All members hold the same, once nobody writes; and what was undone is counted."""
        access = self.target.access()
        end = time.monotonic() + EQUAL_SECONDS
        with access.connections() as connections:
            while found := whole.differences(access, connections):
                if time.monotonic() > end:
                    self.findings += found
                    break
                time.sleep(0.5)  # the servers write a little by themselves
        for name, count in self.target.rolled_back(self.began).items():
            self.book.add(
                What.NOTE,
                f"{name} undid writes that no majority had, and put them aside in {count} files",
            )

    # ---- waiting ------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        """Let the load go on. Raises StoppedError when a stop condition comes to hold."""
        self._until(lambda: None, seconds)

    def _until(self, ask: Callable[[], T], seconds: float) -> T | None:
        """The first answer that says something; None when none came in time."""
        end = time.monotonic() + seconds
        while True:
            if answer := ask():
                return answer
            if came():
                raise Interrupted
            self.guard.check(self.workload.progress())
            if (left := end - time.monotonic()) <= 0:
                return None
            self.workload.run(min(LOOK, left))

    # ---- the record ---------------------------------------------------------------------------

    def _record(self) -> Run:
        scenario, options, layout = self.scenario, self.options, self.layout
        shards = tuple(shard.name for shard in layout.shards)
        drawn = dict(self.stage.drawn) if self.stage else {}
        concerned = {"one": (drawn.get("shard", shards[0]),), "all": shards, "none": ()}
        return Run(
            scenario=scenario.name,
            title=scenario.title,
            hypothesis=scenario.hypothesis,
            expectation=scenario.promised(self.target),
            target=self.target.kind,
            through=options.through.value,
            seed=options.seed,
            began=self.began.isoformat(),
            origin=self.book.origin,
            ended=self.ended,
            concerned=concerned[scenario.concerns],
            load=self.used,
            election_timeout=layout.election_timeout_ms / 1000,
            events=self.book.events(),
            drawn=drawn,
            settings=self._settings(),
            versions=self.versions,
            findings=tuple(self.findings),
            failed=self.failed,
        )

    def _settings(self) -> dict[str, str]:
        layout, reads = self.layout, self.stage.store.guarantee if self.stage else None
        weak = reads in (Guarantee.MAJORITY, Guarantee.SESSION)
        return ({"reads": reads.value} if reads and weak else {}) | {
            "shards": str(len(layout.shards)),
            "members": "+".join(str(len(one.members)) for one in layout.sets),
            "routers": str(len(layout.routers)),
            "election timeout": f"{layout.election_timeout_ms} ms",
            "heartbeat": f"{layout.heartbeat_interval_ms} ms",
            "faults": str(self.options.faults),
            "kept up": f"{self.stage.hold:g} s" if self.stage else "",
        }


@contextlib.contextmanager
def working(target: Target) -> Iterator[None]:
    """Hold the target's lock, so that one drill is at work there. Raises FileError: one is."""
    busy = f"another drill is at work in {target.folder}. Wait until it has ended, or stop it."
    with files.locked(target.folder / "lock", busy):
        yield


def heal(target: Target, say: Callable[[str], None]) -> None:
    """Take back what a drill did, at whatever moment it ended. Raises ClusterError."""
    restore(target, say)
    drop(target)
    drop_note(target)


def restore(target: Target, say: Callable[[str], None]) -> None:
    """Make a cluster whole, and leave what the load has written. Raises ClusterError."""
    target.heal(say, read_note(target))
    access = target.access()
    with access.connections(timeout=5) as connections:
        Waiter(WHOLE_SECONDS).until_well(
            lambda: whole.missing(access, connections),
            lambda why: f"not whole yet: {why}. See `status`, and run it again.",
            every=LOOK,
        )


def folders(out: Path, names: list[str], runs: int) -> Iterator[tuple[str, int, Path]]:
    """A new folder for each run of each scenario: name, number from 0, folder."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    for name in names:
        for number in range(runs):
            yield name, number, out / f"{stamp}-{name}-{number + 1}"


def _versions(password: str, connections: Connections, router: Node) -> dict[str, str]:
    info = connections.user(router, "admin", password).admin.command("buildInfo")
    return {
        "router": router_kind(info),
        "mongod": str(info["version"]),
        "pymongo": pymongo.version,
        "python": platform.python_version(),
        "shardstack": importlib.metadata.version("shardstack"),
    }

"""A cluster of processes on this machine, as `python -m cluster up` makes it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from cluster.deployment import local_deployment
from cluster.drill.targets import clock, delay, disk, whole
from cluster.drill.targets.silence import End, Silence
from cluster.drill.targets.target import Ability, Api, NodeState, Note, Way
from cluster.errors import DrillError
from cluster.local.cluster import LocalCluster
from cluster.local.launcher import is_alive
from cluster.servers.connections import Access
from cluster.servers.waiting import Waiter
from console import Report
from console.errors import FileError
from console.terminal import python, state_flag

GONE_SECONDS = 10.0
START_SECONDS = 90.0
ERRAND_SECONDS = 60.0
DAMAGED_BYTES = 64 * 1024
LISTENS = "0A"
"""A socket's state in /proc/net/tcp."""


class LocalTarget:
    """The processes of one state folder."""

    kind = "local"

    def __init__(self, cluster: LocalCluster, state: str = "") -> None:
        """`state` is the cluster's folder as it was typed."""
        self.cluster = cluster
        self.folder = cluster.state.folder / "drill"
        self.place = str(cluster.state.folder)
        self.healing = f"{python()} -m cluster drill heal{state_flag(state or self.place)}"
        self.backup = str(self.folder / "backup")
        self._silence = Silence(cluster.state.folder, self.folder)
        self._known: dict[str, psutil.Process] = {}

    def assert_there(self) -> None:
        """Raises StateError: no cluster was made there, or the environment names another one."""
        local_deployment(self.place, "drill").record()

    def api(self) -> Api | None:
        """The API is started by others: its address has to be told."""
        return None

    def access(self) -> Access:
        """What it takes to reach the servers."""
        return self.cluster.access()

    def command(self, words: Sequence[str]) -> list[str]:
        """`python -m cluster` about this state folder."""
        return [sys.executable, "-u", "-m", "cluster", *words, "--state", self.place]

    def discard_backup(self) -> str:
        """Delete the backup that a drill wrote."""
        shutil.rmtree(self.backup, ignore_errors=True)
        return "the backup is deleted"

    def next_shard(self) -> str:
        """The name that the next shard will get; no name is used twice."""
        return f"shard-{self.cluster.record().next_shard}"

    def cannot(self, ability: Ability) -> str:
        """What takes root may be missing here; and there is one API."""
        if ability is Ability.REPLICAS:
            return "there is one API on this machine, and no proxy that would ask another"
        if ability in (Ability.FILL, Ability.DISK):
            return disk.cannot()
        if ability is Ability.CLOCK:
            return clock.cannot()
        if ability in (Ability.CUT, Ability.PART, Ability.LOSE):
            return self._silence.cannot()
        return self._silence.cannot() or delay.cannot() if ability is Ability.SLOW else ""

    # ---- may it be broken ---------------------------------------------------------------------

    def unfit(self) -> list[str]:
        """Why nobody should break this cluster now."""
        if why := self.cluster.stopped():
            return [f"the cluster {why}"]
        if found := self._busy():
            return found
        return whole.unfit(self.cluster.status(), self.free_mib())

    def _busy(self) -> list[str]:
        try:
            with self.cluster.state.locked():
                pass
        except FileError as error:
            return [str(error)]
        return [f"{what} is under way (process {pid})" for pid, what in self._backups()]

    def _backups(self) -> Iterator[tuple[int, str]]:
        """Commands that read or fill this cluster for a backup; nothing in the cluster tells."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                argv = process.cmdline()
                verb = next((word for word in argv if word in ("dump", "restore")), None)
                if verb and "cluster" in argv and self._is_about(process, argv):
                    yield process.pid, f"a {verb}"

    def _is_about(self, process: psutil.Process, argv: list[str]) -> bool:
        """Whether a command of ours is about this state folder."""
        named = process.environ().get("SHARDSTACK_STATE", ".shardstack")
        if "--state" in argv[:-1]:
            named = argv[argv.index("--state") + 1]
        return (Path(process.cwd()) / named).resolve() == self.cluster.state.folder.resolve()

    # ---- processes ----------------------------------------------------------------------------

    def state(self, name: str) -> NodeState:
        """How a node's process is."""
        process = self._process(name)
        if process is None:
            return NodeState.DOWN
        try:
            stopped = process.status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return NodeState.DOWN
        return NodeState.PAUSED if stopped else NodeState.RUNNING

    def kill(self, names: Sequence[str]) -> None:
        """SIGKILL to all at once; returns when they are gone."""
        found = self._signal(names, signal.SIGKILL)
        Waiter(GONE_SECONDS).until(
            lambda: None if any(is_alive(process) for process in found) else True,
            lambda: f"{', '.join(names)}: survived SIGKILL. Look at the machine's log.",
            every=0.01,
        )

    def start(self, names: Sequence[str]) -> None:
        """Start nodes all together, and wait until each serves or is in sync."""
        self.cluster.start(*names, seconds=START_SECONDS)

    def pause(self, names: Sequence[str]) -> None:
        """Send SIGSTOP to the nodes' processes."""
        self._signal(names, signal.SIGSTOP)

    def resume(self, names: Sequence[str]) -> None:
        """Send SIGCONT to the nodes' processes."""
        self._signal(names, signal.SIGCONT)

    def _signal(self, names: Sequence[str], number: int) -> list[psutil.Process]:
        found = []
        for name in names:
            process = self._process(name)
            if process is None:
                raise DrillError(f"{name} does not run. Start it with `up`.")
            found.append(process)
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return found

    def _process(self, name: str) -> psutil.Process | None:
        """A node's process; looked up among all only when the one that is known has ended."""
        known = self._known.get(name)
        if known is None or not is_alive(known):
            self._known.pop(name, None)
            pid = self.cluster.node(name).pid
            if pid is None:
                return None
            known = self._known[name] = psutil.Process(pid)
        return known

    # ---- packets ------------------------------------------------------------------------------

    def cut(self, names: Sequence[str], way: Way, share: float = 1.0) -> None:
        """Drop packets of these nodes."""
        for name in names:
            self._silence.cut(self._end(name), way, share)

    def part(self, name: str, others: Sequence[str]) -> None:
        """Drop what this node and those say to one another."""
        self._silence.part(self._end(name), [self._end(other) for other in others])

    def slow(self, names: Sequence[str], seconds: float) -> None:
        """Delay what these nodes send, as long as this process lives."""
        for name in names:
            self._silence.slow(self._end(name), seconds)

    def _end(self, name: str) -> End:
        process = self._process(name)
        if process is None:
            raise DrillError(f"{name} does not run. Start it with `up`.")
        return End(name, process.pid, self.cluster.node(name).port)

    def join(self, names: Sequence[str]) -> None:
        """Let packets of these nodes pass again."""
        self._silence.join(names)

    def dropped(self, name: str) -> int:
        """Packets that met the node's rules."""
        return self._silence.dropped(name)

    # ---- data ---------------------------------------------------------------------------------

    def wipe(self, name: str) -> None:
        """Delete the data of a node that is down."""
        self._assert_down(name)
        shutil.rmtree(self._data(name))
        (self.folder / f"damaged-{name}").unlink(missing_ok=True)

    def damage(self, name: str) -> str:
        """Overwrite the middle of its largest collection with what is no WiredTiger block."""
        self._assert_down(name)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / f"damaged-{name}").touch()
        largest = max(
            self._data(name).rglob("collection-*.wt"), key=lambda file: file.stat().st_size
        )
        with largest.open("r+b") as file:
            size = largest.stat().st_size
            length = min(DAMAGED_BYTES, size // 2)
            file.seek((size - length) // 2)
            file.write(os.urandom(length))
        return f"{length} bytes in the middle of {largest.name}, of {size}"

    def _data(self, name: str) -> Path:
        return self.cluster.state.node(name) / "data"

    def _assert_down(self, name: str) -> None:
        if self.state(name) is not NodeState.DOWN:
            raise DrillError(f"{name} runs. Its data is touched only while it does not.")

    # ---- a disk, and a clock, of its own ------------------------------------------------------

    def confine(self, name: str) -> None:
        """Move the data of a node that is down onto a disk of its own."""
        self._assert_down(name)
        self._disk(name).make()

    def fill(self, name: str) -> None:
        """Fill the node's disk."""
        self._disk(name).fill()

    def clear(self, name: str) -> None:
        """Delete what fills the node's disk."""
        self._disk(name).clear()

    def freeze(self, name: str) -> None:
        """Freeze the node's disk."""
        self._disk(name).freeze()

    def thaw(self, name: str) -> None:
        """Thaw the node's disk."""
        self._disk(name).thaw()

    def cut_power(self, names: Sequence[str]) -> str:
        """SIGKILL to the nodes; their disks forget what the kernel has not written."""
        self.kill(names)
        found = [self._disk(name) for name in names]
        for one in found:
            one.cut_power()
        forgot = [one.node.name for one in found if one.recover()]
        if len(forgot) < len(found):
            return ""
        return f"what was written last to the disks of {', '.join(forgot)} is gone"

    def release(self, name: str) -> None:
        """Move the data of a node that is down back to the disk that it shares with the others."""
        self._assert_down(name)
        self._disk(name).give_up()

    def _disk(self, name: str) -> disk.Disk:
        return disk.Disk(self.cluster.state.node(name))

    def start_with_clock(self, name: str) -> None:
        """Start a node that is down with a clock that a file in the drill's folder sets."""
        self._assert_down(name)
        self.set_clock(name, 0)
        own = clock.environment(self._clock(name))
        self.cluster.start(name, seconds=START_SECONDS, environment=own)

    def set_clock(self, name: str, seconds: int) -> None:
        """Set the node's clock."""
        clock.set_off(self._clock(name), seconds)

    def _clock(self, name: str) -> Path:
        return self.folder / f"clock-{name}"

    # ---- what is left -------------------------------------------------------------------------

    def rolled_back(self, since: datetime) -> dict[str, int]:
        """Files below each member's `rollback` folder that were written since then."""
        found = {}
        for folder in sorted(self.cluster.state.nodes.glob("*/data/rollback")):
            new = [
                file for file in folder.rglob("*.bson") if file.stat().st_mtime >= since.timestamp()
            ]
            if new:
                found[folder.parents[1].name] = len(new)
        return found

    def free_mib(self) -> int:
        """The free space of the disk that all nodes share, in MiB."""
        return shutil.disk_usage(self.cluster.state.folder).free // 2**20

    # ---- the API ------------------------------------------------------------------------------

    def replicas(self) -> list[str]:
        """None: see `cannot`."""
        return []

    def workers(self, url: str) -> list[int]:
        """The processes that accept connections there and have no such process below them."""
        sockets = _listening(urlsplit(url).port)
        holders = [pid for pid in psutil.pids() if _holds(pid, sockets)]
        parents = {parent for pid in holders if (parent := _parent(pid)) is not None}
        return sorted(pid for pid in holders if pid not in parents)

    def kill_worker(self, pid: int) -> None:
        """Send SIGKILL to the worker; one that is gone already is left alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    # ---- afterwards ---------------------------------------------------------------------------

    def heal(self, report: Report, note: Note | None) -> None:
        """Take back whatever a drill did, and make the cluster whole."""
        if note is not None and note.errand:
            self._end_errand(note.errand, report)
        if self._silence.join():
            report("packet filter: the drill's rules are out")
        paused = [n.name for n in self.cluster.nodes() if self.state(n.name) is NodeState.PAUSED]
        if paused:
            self.cluster.resume()
            report(f"stood still, and go on: {', '.join(paused)}")
        self._give_up_disks(report)
        self._set_clocks_right(report)
        for mark in sorted(self.folder.glob("damaged-*")):
            name = mark.name.removeprefix("damaged-")
            if self.state(name) is not NodeState.DOWN:
                self.kill([name])
            if self._data(name).exists():
                self.wipe(name)
            report(f"{name}: its damaged data is deleted, and it copies the others'")
            mark.unlink(missing_ok=True)
            self.start([name])
        self.discard_backup()
        self.cluster.up(report=report)
        if note is not None and note.shard and note.shard in self.cluster.record().shards:
            self.cluster.remove_shard(note.shard, report=report)

    def _give_up_disks(self, report: Report) -> None:
        """Move the data back from every disk of a node's own, in whatever state it is."""
        found = {one.node.name: one for one in disk.disks(self.cluster.state.nodes)}
        for one in found.values():
            one.thaw()  # nobody who waits for it could be ended
        if running := [name for name in found if self.state(name) is not NodeState.DOWN]:
            self.kill(running)
        for name, one in found.items():
            one.give_up()
            report(f"{name}: its data are back from the disk that it had for itself")
        if found:
            self.start(list(found))

    def _set_clocks_right(self, report: Report) -> None:
        """Start every node anew that has a clock of its own, without waiting for its consent."""
        for node in self.cluster.nodes():
            process = self._process(node.name)
            if process is not None and clock.has_own(process):
                self.kill([node.name])
                self.start([node.name])
                report(f"{node.name}: started anew, with the machine's clock")
        for file in self.folder.glob("clock-*"):
            file.unlink()

    def _end_errand(self, pid: int, report: Report) -> None:
        """End a command of ours that outlived its drill; it tidies up, as after Ctrl-C."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            argv = process.cmdline()
            if "cluster" in argv and self._is_about(process, argv):
                report(f"ended what still worked on the cluster: {' '.join(argv[4:-2])}")
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(ERRAND_SECONDS)
                except psutil.TimeoutExpired:
                    process.kill()

    def save_logs(self, folder: Path, since: datetime, until: datetime) -> None:
        """Each node's lines between two moments, as they are."""
        folder.mkdir(exist_ok=True)
        begin, end = (moment.astimezone(UTC) for moment in (since, until))
        for place in sorted(self.cluster.state.nodes.glob("*/")):
            kept = [line for one in ("log.old", "log") for line in _lines(place / one, begin, end)]
            (folder / f"{place.name}.log").write_text("".join(kept), encoding="utf-8")


def _listening(port: int | None) -> set[str]:
    """The sockets on which connections to a port are accepted, as links to open files name them.

    psutil would read all connections of the machine once for each process, which takes a core for
    a second, while it is measured here what a fault costs.
    Source: proc_pid_net(5), proc_pid_fd(5)
    """
    found = set()
    for table in map(Path, ("/proc/net/tcp", "/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found


def _holds(pid: int, sockets: set[str]) -> bool:
    """Whether a process has one of these sockets."""
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as files:
        for file in files:
            with contextlib.suppress(OSError):
                if os.readlink(file) in sockets:  # noqa: PTH115 - there are thousands of them
                    return True
    return False


def _parent(pid: int) -> int | None:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).ppid()
    return None


def _lines(log: Path, since: datetime, until: datetime) -> Iterator[str]:
    """The lines of a log between two moments; one without a time belongs to the one before."""
    try:
        lines = log.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    within = False
    with lines:
        for line in lines:
            if (moment := _moment(line)) is not None:
                within = since <= moment <= until
            if within:
                yield line


def _moment(line: str) -> datetime | None:
    """When a line was written: a mongod's, in JSON, or the stand-in router's, in local time."""
    parse: Callable[[], datetime]
    if line.startswith("{"):
        parse = lambda: datetime.fromisoformat(json.loads(line)["t"]["$date"])  # noqa: E731
    else:
        parse = lambda: datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").astimezone()  # noqa: E731
    try:
        return parse()
    except (ValueError, KeyError, TypeError):
        return None

"""Cut one process of this machine off from all others, or from some, by packet filters; or have
what it sends arrive later.

All nodes share the address 127.0.0.1, so what is a node's must be told otherwise:

- connections that others made to it, by its port;
- those that it makes from now on, by its control group: it is moved into one of its own;
- those that it has made before, by both ports of each. They are listed once it is in that group, so
  none is missed: what is made later belongs to the group.

The rules are in chains of their own, for each state folder and node, and the jump to them carries a
comment that names the folder. They concern TCP over loopback only, and are put in and taken out by
that name alone; nobody else's rule is read or changed. It takes root, iptables with its `cgroup`
match, and control groups of version 2. (Sockets stay with the group in which they were made:
net/netfilter/xt_cgroup.c, sock_cgroup_ptr.)
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster.drill.targets import delay
from cluster.drill.targets.target import Way
from cluster.errors import ClusterError

MOUNTS = Path("/proc/mounts")
IPTABLES = ("iptables", "--wait", "5")
DROP = "-j DROP"


@dataclass(frozen=True)
class End:
    """A node's process, and the port at which it listens."""

    name: str
    pid: int
    port: int

    def made(self) -> list[tuple[int, int]]:
        """Both ports, its own first, of each connection that it has made to somebody."""
        return [
            (c.laddr.port, c.raddr.port)
            for c in psutil.Process(self.pid).net_connections(kind="tcp4")
            if c.raddr and c.laddr.port != self.port
        ]


class Silence:
    """The packet filter's rules for the nodes of one state folder.

    `kept` is a folder that remembers which group a process came from.
    """

    def __init__(self, folder: Path, kept: Path) -> None:
        self._kept = kept
        self._mark = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
        self._comment = f"shardstack-drill {self._mark}"
        self._delays: dict[str, subprocess.Popen[str]] = {}

    def cannot(self) -> str:
        """Why nothing can be cut off here; "" when it can."""
        if os.geteuid() != 0:
            return "a packet filter takes root, which this is not (in Compose it does not)"
        if shutil.which("iptables") is None:
            return "there is no iptables (apt-get install iptables)"
        root = groups_root()
        if root is None or not os.access(root, os.W_OK):
            return "there are no control groups of version 2 that may be changed"
        return ""

    def cut(self, one: End, way: Way, share: float) -> None:
        """Drop this share of the packets of one process. Raises ClusterError."""
        chance = f"-m statistic --mode random --probability {share} " if share < 1 else ""
        self._put(one.name, *self._matches(one, way), f"{chance}{DROP}")

    def slow(self, one: End, seconds: float) -> None:
        """Have every packet that one process sends arrive so much later. Raises ClusterError.

        It ends with the drill: then packets pass at once, though the rules are there.
        """
        number = int(hashlib.sha256(f"{self._mark} {one.name}".encode()).hexdigest()[:4], 16)
        self._delays[one.name] = delay.begin(number, seconds)
        target = f"-j NFQUEUE --queue-num {number} --queue-bypass"
        self._put(one.name, *self._matches(one, Way.MUTE), target)

    def _matches(self, one: End, way: Way) -> tuple[list[str], list[str]]:
        """What tells the packets of one process that go this way: as they are sent, and arrive."""
        group, own = self._enclose(one), one.made()
        out: list[str] = []
        into: list[str] = []
        if way is not Way.DEAF:
            out += [f"-p tcp --sport {one.port}", group]
            out += [f"-p tcp --sport {ours} --dport {theirs}" for ours, theirs in own]
        if way is not Way.MUTE:
            out += [f"-p tcp --dport {one.port}"]
            out += [f"-p tcp --sport {theirs} --dport {ours}" for ours, theirs in own]
            into += [group]
        return out, into

    def part(self, one: End, others: Sequence[End]) -> None:
        """Drop all packets between one process and these others. Raises ClusterError.

        Others of the machine connect to the same ports, so that all of these get a group.
        """
        groups = {end.name: self._enclose(end) for end in (one, *others)}
        out: list[str] = []
        into: list[str] = []
        for caller, called in [p for other in others for p in ((one, other), (other, one))]:
            group, port = groups[caller.name], called.port
            out += [f"-p tcp --dport {port} {group}"]
            into += [f"-p tcp --sport {port} {group}"]
            for ours, theirs in caller.made():
                if theirs == port:
                    out += [f"-p tcp --sport {ours} --dport {port}"]
                    out += [f"-p tcp --sport {port} --dport {ours}"]
        self._put(one.name, out, into, DROP)

    def _enclose(self, one: End) -> str:
        """Move a process to a group of its own; what tells its packets from now on."""
        path = self._group(one.name)
        self._kept.mkdir(mode=0o700, exist_ok=True)
        (self._kept / path.name).write_text(group_of(str(one.pid)))
        path.mkdir(exist_ok=True)
        _enter(path, one.pid)
        return f"-m cgroup --path {path.name}"

    def _put(self, name: str, out: list[str], into: list[str], target: str) -> None:
        """Put in a node's rules, for packets as they are sent and as they arrive."""
        sent, arrived = self._chains(name)
        lines = ["*filter", f":{sent} - [0:0]", f":{arrived} - [0:0]"]
        lines += [f"-A {sent} {match} {target}" for match in out]
        lines += [f"-A {arrived} {match} {target}" for match in into]
        comment = f'-m comment --comment "{self._comment}"'
        lines += [f"-I OUTPUT -o lo {comment} -j {sent}", f"-I INPUT -i lo {comment} -j {arrived}"]
        _run("iptables-restore", "--wait", "5", "--noflush", given="\n".join([*lines, "COMMIT\n"]))

    def dropped(self, name: str) -> int:
        """How many packets its rules have dropped."""
        return sum(
            int(line.split()[0])
            for chain in self._chains(name)
            for line in _run(*IPTABLES, "-L", chain, "-v", "-n", "-x").splitlines()
            if " DROP " in line
        )

    def join(self, names: Sequence[str] | None = None) -> list[str]:
        """Take out the rules of these nodes, or of all; returns the chains that there were."""
        if shutil.which("iptables") is None or os.geteuid() != 0:
            return []
        wanted = {chain for name in names or () for chain in self._chains(name)}
        there = [chain for chain in self._there() if names is None or chain in wanted]
        rules = _run(*IPTABLES, "-S").splitlines()
        for chain in there:
            for rule in rules:
                if self._comment in rule and rule.endswith(f" -j {chain}"):
                    _run(*IPTABLES, "-D", *shlex.split(rule)[1:])
            _run(*IPTABLES, "-F", chain)
            _run(*IPTABLES, "-X", chain)
        for name in [name for name in self._delays if names is None or name in names]:
            delay.end(self._delays.pop(name))
        self._leave(names)
        return there

    def _chains(self, name: str) -> tuple[str, str]:
        return f"SSD-{self._mark}-{name}-O", f"SSD-{self._mark}-{name}-I"

    def _there(self) -> list[str]:
        return re.findall(rf"^-N (SSD-{self._mark}-\S+)$", _run(*IPTABLES, "-S"), re.M)

    def _group(self, name: str) -> Path:
        root = groups_root()
        if root is None:
            raise ClusterError("there are no control groups of version 2 here.")
        return root / f"shardstack-drill-{self._mark}-{name}"

    def _leave(self, names: Sequence[str] | None) -> None:
        """Let processes go back to the group that they were in, and delete theirs."""
        root = groups_root()
        if root is None:
            return
        for group in root.glob(f"shardstack-drill-{self._mark}-*"):
            if names is not None and not any(group.name.endswith(f"-{name}") for name in names):
                continue
            home = self._home(root, group.name)
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    _enter(home, int(pid))
            with contextlib.suppress(OSError):  # one that ends this moment is in it still
                group.rmdir()
            (self._kept / group.name).unlink(missing_ok=True)

    def _home(self, root: Path, name: str) -> Path:
        """The group that a node's process was in; this one's, if that is gone."""
        try:
            former = root / (self._kept / name).read_text().lstrip("/")
        except FileNotFoundError:
            former = root / name
        return former if former.name != name and former.is_dir() else root / group_of("self")[1:]


def groups_root() -> Path | None:
    """Where control groups of version 2 are; None without them."""
    for fields in _mounts():
        if fields[2] == "cgroup2":
            return Path(fields[1])
    return None


def group_of(process: str) -> str:
    """The group of a process (its id, or "self"), from the root of them all."""
    found = re.search(r"^0::(/.*)$", Path(f"/proc/{process}/cgroup").read_text(), re.M)
    return found[1] if found else "/"


def _mounts() -> Iterator[list[str]]:
    with contextlib.suppress(OSError):
        for line in MOUNTS.read_text().splitlines():
            yield line.split()


def _enter(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid))


def _run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode != 0:
        raise ClusterError(
            f"`{command[0]}` refuses: {' '.join(done.stderr.split())}. "
            "Take back what was done by `drill heal`."
        )
    return done.stdout

"""A stack of hosts, as ansible/site.yml makes it. ansible/drill.yml runs a drill there.

The drill runs on the operator's host, the first router's: only hosts of the stack reach its
servers, the secrets are there already, and the load comes by the network that the API's calls
take, not by an administrator's line, of which a measurement would tell more than of the cluster.
What is done to servers is done by a hand on their host (hand.py), which the operator's host
reaches by an SSH key. The playbook makes it for each drill: it runs the hand and nothing else,
from the operator's address only, and is void after some hours even if nobody takes it back. So
nothing depends on the control machine while a drill runs; and whatever ends the drill ends its
sessions, at which every hand makes its host whole.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from cluster.drill.targets import whole
from cluster.drill.targets.hands import Hands
from cluster.drill.targets.target import Ability, Api, NodeState, Note, Unable, Way
from cluster.errors import ClusterError, DrillError, StateError
from cluster.hosted import nodes
from cluster.hosted.cluster import HostedCluster
from cluster.model.layout import Node
from cluster.servers.connections import Access, Connections
from cluster.servers.waiting import Waiter
from console import Report

START_SECONDS = 120.0
PLAYBOOK = "ansible-playbook drill.yml"
SHARDSTACK = "/usr/local/sbin/shardstack"
BACKUPS = "shardstack-backup.service"


class HostsTarget(Unable):
    """The stack that the environment describes, seen from its operator's host."""

    kind = "hosts"

    def __init__(self, state: str) -> None:
        """`state` is a folder that drill.yml made; `ssh_config` in it describes the hosts."""
        self.folder = Path(state).absolute()
        self.backup = str(self.folder / "backup")
        self._settings = self.folder / "ssh_config"
        self._hands = Hands(self._settings)
        self._access: Access | None = None
        self._parted: dict[str, Sequence[str]] = {}

    @property
    def place(self) -> str:
        """The stack's name; the folder before the playbook has told it."""
        file = self.folder / "stack"
        return file.read_text(encoding="utf-8").strip() if file.exists() else str(self.folder)

    @property
    def healing(self) -> str:
        """The same playbook heals."""
        return f"on the control machine of {self.place}, in ansible/: {PLAYBOOK} -e heal=true"

    def assert_there(self) -> None:
        """Raises StateError where no playbook has opened the hosts to a drill."""
        if not self._settings.exists():
            raise StateError(
                f"there is no key in {self.folder} by which a drill reaches the hosts. A playbook "
                f"makes it: {PLAYBOOK} -e safe_to_break=NAME -e drill=primary-killed"
            )

    def api(self) -> Api | None:
        """None: what the load over HTTP is made with is not on the hosts."""
        return None

    # ---- the cluster --------------------------------------------------------------------------

    def access(self) -> Access:
        """What it takes to reach the servers."""
        self._access = HostedCluster().access()
        return self._access

    def command(self, words: Sequence[str]) -> list[str]:
        """`shardstack`, as people run it here."""
        return [SHARDSTACK, *words]

    def discard_backup(self) -> str:
        """Delete the backup that a drill wrote."""
        shutil.rmtree(self.backup, ignore_errors=True)
        return "the backup is deleted"

    def next_shard(self) -> str:
        """See `cannot`."""
        raise DrillError(f"{self.cannot(Ability.GROW)}.")

    def unfit(self) -> list[str]:
        """Why nobody should break this stack now."""
        down = [one.name for one in self._nodes() if self.state(one.name) is not NodeState.RUNNING]
        if down:
            return [f"{name} does not run, or stands still" for name in down]
        active = ("systemctl", "is-active", "--quiet", BACKUPS)
        if subprocess.run(active, check=False).returncode == 0:
            return ["a backup is under way"]
        return whole.unfit(HostedCluster().status(), self.free_mib())

    def cannot(self, ability: Ability) -> str:
        """Hosts are to be had by playbooks only, and secrets come from the control machine."""
        if ability in (Ability.CUT, Ability.PART, Ability.LOSE) and self._settings.exists():
            answers = self._everywhere("deaf_to")
            return "; ".join(f"{host}: {why}" for host, why in answers.items() if why)
        return NOT_HERE.get(ability, "")

    # ---- servers ------------------------------------------------------------------------------

    def _nodes(self) -> Sequence[Node]:
        return list((nodes.read(os.environ) or {}).values())

    def _node(self, name: str) -> Node:
        for node in self._nodes():
            if node.name == name:
                return node
        raise DrillError(f"there is no node {name!r}.")

    def _ask(self, name: str, verb: str, **what: Any) -> Any:
        """Ask the hand on the host of a node, about that node."""
        node = self._node(name)
        return self._hands.ask(node.host, verb, name=_there(name), **what)

    def _ask_each(self, names: Sequence[str], verb: str) -> None:
        """Ask the hands on the hosts of several nodes, at the same time."""
        asked: dict[str, list[str]] = {}
        for name in names:
            asked.setdefault(self._node(name).host, []).append(_there(name))
        self._hands.ask_all(verb, {host: {"names": found} for host, found in asked.items()})

    def _everywhere(self, verb: str, **what: Any) -> Mapping[str, Any]:
        """Ask all hands, at the same time; the answers by host."""
        hosts = dict.fromkeys(node.host for node in self._nodes())
        return self._hands.ask_all(verb, dict.fromkeys(hosts, what))

    def state(self, name: str) -> NodeState:
        """How a node's process is."""
        return NodeState(self._ask(name, "state"))

    def kill(self, names: Sequence[str]) -> None:
        """SIGKILL to all; systemd starts none of them again."""
        self._ask_each(names, "kill")

    def start(self, names: Sequence[str]) -> None:
        """Start nodes all together, and wait until each serves."""
        access = self._access or self.access()
        self._ask_each(names, "start")
        with access.connections(timeout=5) as connections:
            for name in names:
                self._wait_until_serving(name, access, connections)

    @staticmethod
    def _wait_until_serving(name: str, access: Access, connections: Connections) -> None:
        Waiter(START_SECONDS).until_well(
            lambda: whole.unserved(access, connections, name),
            lambda why: f"{name} does not serve: {why}. See its journal.",
        )

    def pause(self, names: Sequence[str]) -> None:
        """SIGSTOP to all."""
        self._ask_each(names, "pause")

    def resume(self, names: Sequence[str]) -> None:
        """SIGCONT to all."""
        self._ask_each(names, "resume")

    def cut(self, names: Sequence[str], way: Way, share: float = 1.0) -> None:
        """Drop packets of these nodes on their own hosts."""
        for name in names:
            self._ask(name, "cut", port=self._node(name).port, way=way.value, share=share)

    def part(self, name: str, others: Sequence[str]) -> None:
        """Drop what a node and others say to one another, on the host of whoever begins it."""
        self._parted[name] = others
        self._ask(name, "part", others=[self._place(other) for other in others])
        for other in others:
            self._ask(other, "part", others=[self._place(name)])

    def _place(self, name: str) -> tuple[str, int]:
        node = self._node(name)
        return socket.gethostbyname(node.host), node.port

    def join(self, names: Sequence[str]) -> None:
        """Let packets of these nodes pass again."""
        self._ask_each([*names, *(o for n in names for o in self._parted.pop(n, ()))], "join")

    def dropped(self, name: str) -> int:
        """Packets that met the node's rules."""
        return int(self._ask(name, "dropped"))

    # ---- data ---------------------------------------------------------------------------------

    def wipe(self, name: str) -> None:
        """Delete the data of a member that is down."""
        self._ask(name, "wipe")

    def damage(self, name: str) -> str:
        """Overwrite the middle of its largest collection with what is no WiredTiger block."""
        return str(self._ask(name, "damage"))

    def free_mib(self) -> int:
        """The least free space among the hosts."""
        return min(int(free) for free in self._everywhere("free").values())

    def rolled_back(self, since: datetime) -> dict[str, int]:
        """Files of writes that members undid since then."""
        found = self._everywhere("rolled_back", since=since.timestamp()).values()
        return {name: count for one in found for name, count in one.items()}

    # ---- the API ------------------------------------------------------------------------------

    def replicas(self) -> list[str]:
        """None: see `cannot`."""
        return []

    def workers(self, url: str) -> list[int]:  # noqa: ARG002
        """None: see `cannot`."""
        return []

    def kill_worker(self, pid: int) -> None:
        """See `cannot`."""
        raise DrillError(f"process {pid}: {self.cannot(Ability.WORKERS)}.")

    # ---- afterwards ---------------------------------------------------------------------------

    def heal(self, report: Report, note: Note | None) -> None:
        """Have every hand make its host whole, and the cluster itself."""
        # What worked on the cluster for the drill has ended with it: systemd ends all of its unit.
        lost = []
        for host in dict.fromkeys(node.host for node in self._nodes()):
            try:
                for sentence in self._hands.ask(host, "heal"):
                    report(f"{host}: {sentence}")
            except ClusterError as error:
                lost.append(str(error))
        if lost:
            raise DrillError(" ".join(lost))
        if note is not None:
            self.discard_backup()
            HostedCluster().bootstrap(report, lambda _: None)

    def save_logs(self, folder: Path, since: datetime, until: datetime) -> None:
        """Each node's lines between two moments, as its host's journal has them."""
        folder.mkdir(exist_ok=True)
        moments = {"since": since.timestamp(), "until": until.timestamp()}
        names = [node.name for node in self._nodes()]
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda name: self._ask(name, "log", **moments), names)
            for name, text in zip(names, found, strict=True):
                (folder / f"{name}.log").write_text(text, encoding="utf-8")


NOT_HERE = {
    Ability.SLOW: "what delays packets is not on the hosts",
    Ability.FILL: "members share the disk of their host",
    Ability.DISK: "members share the disk of their host",
    Ability.CLOCK: "members share the clock of their host",
    Ability.GROW: "another shard takes other hosts: scale.yml adds them",
    Ability.REKEY: "the key comes from the control machine: rotate-secrets.yml changes it",
    Ability.WORKERS: "there is an API on several hosts, and the load comes through the routers",
    Ability.REPLICAS: "the load comes through the routers, and meets no API",
}


def _there(name: str) -> str:
    """What a node is called on its host, which has one router at most."""
    return "mongos" if name.startswith("router-") else name

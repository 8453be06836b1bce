"""A small cluster of processes with flags of a test's own: one config server, one shard, a router.

`LocalCluster` starts servers as people want them; here a test says how each is started.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cluster.local.binaries import find_mongod
from cluster.model.layout import Layout, Node, ReplicaSet
from cluster.model.profiles import LAPTOP, Sizes, mongod_conf
from cluster.model.secrets import make_key, render_keys
from cluster.servers.connections import Access, listens
from cluster.servers.waiting import Waiter
from console.ports import is_free

PASSWORDS = {"admin": "adminadmin", "app": "appappapp", "monitor": "monitor1", "backup": "backup12"}


class Servers:
    """Processes of one test; `close` ends them."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.key = make_key()
        self.key_file = folder / "key"
        self.key_file.write_text(render_keys([self.key]))
        self.key_file.chmod(0o400)
        self._free = iter(port for port in range(24_100, 24_900) if is_free(port))
        self.config = self._set("cfg", host, "config-1")
        self.shard = self._set("shard-1", host, "shard-1-1")
        self.router = Node("router-1", host, next(self._free))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def _set(self, name: str, host: str, *members: str) -> ReplicaSet:
        nodes = tuple(Node(member, host, next(self._free)) for member in members)
        return ReplicaSet(name, nodes, is_config=name == "cfg")

    def access(self, tls_ca: Path | None) -> Access:
        """What it takes to reach them."""
        layout = Layout(self.config, (self.shard,), (self.router,), 1700, 500, 300, None, "app")
        return Access(layout, self.key, PASSWORDS, tls_ca)

    def start_members(self, *flags: str) -> None:
        """Start the mongods."""
        conf = self.folder / "mongod.conf"
        sizes = Sizes(cache_gb=0.25, oplog_mb=64, connections=1000)
        conf.write_text(mongod_conf(LAPTOP, sizes, election_timeout_ms=1700))
        for replica_set in (self.config, self.shard):
            for node in replica_set.members:
                data = self.folder / node.name
                data.mkdir()
                own = ["--configsvr" if replica_set.is_config else "--shardsvr"]
                own += ["--replSet", replica_set.name, "--dbpath", str(data), "--bind_ip_all"]
                own += ["--keyFile", str(self.key_file), "--port", str(node.port)]
                own += ["--config", str(conf)]
                self._start(node.name, str(find_mongod()), *own, *flags)

    def start_router(self, *flags: str, port: int | None = None) -> subprocess.Popen[bytes]:
        """Start a router; it need not come to listen."""
        own = ["--configdb", self.config.seed, "--keyFile", str(self.key_file)]
        own += ["--port", str(port or self.router.port)]
        return self._start(
            f"router-{port or ''}", sys.executable, "-m", "cluster.router", *own, *flags
        )

    def wait_for(self, node: Node) -> None:
        """Wait until a node listens."""
        Waiter(30).until(
            lambda: listens(node) or None, lambda: f"{node.name}: {self.log(node.name)}"
        )

    def port(self) -> int:
        """A port that nobody uses."""
        return next(self._free)

    def log(self, name: str) -> str:
        """What a process has said."""
        return (self.folder / f"{name}.log").read_text()

    def _start(self, name: str, *argv: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log)
        self.processes[name] = process
        return process

    def close(self) -> None:
        """End every process."""
        for process in self.processes.values():
            process.kill()
            process.wait(60)

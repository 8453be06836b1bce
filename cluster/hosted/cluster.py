"""A cluster of hosts: which nodes it has, made a cluster by the bootstrap, looked at, changed.

The nodes are those of the topology and, beside them, the shards that the cluster itself knows: one
that was added to it stays until it is removed.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from pymongo.errors import OperationFailure, PyMongoError

from cluster.errors import NodeError, StateError, TopologyError
from cluster.hosted import certificates, environment
from cluster.hosted.environment import (
    read_topology,
    secrets_folder,
    uses_tls,
    variable,
)
from cluster.hosted.nodes import NODES, listening
from cluster.hosted.secrets import HostedSecrets
from cluster.lifecycle.bootstrap import bootstrap
from cluster.lifecycle.remove_shard import drain
from cluster.lifecycle.status import ClusterStatus, inspect
from cluster.model import profiles
from cluster.model.layout import (
    CONFIG_SET,
    Layout,
    Node,
    arrange,
    member_names,
    router_names,
    shard_names,
)
from cluster.model.profiles import machine_memory, mongod_conf
from cluster.model.users import kept_database
from cluster.servers.census import read_catalogue
from cluster.servers.connections import Access, Connections, is_transient, refusal
from cluster.servers.replica_set import CATCH_UP_SECONDS, relieve
from cluster.servers.waiting import Waiter
from console import Report

UNKNOWN_HOST_SECONDS = 10
"""A host that just starts gets its name a moment later; one that never was never does."""
BACK_SECONDS = 120.0  # for a server that was shut down to be there again
QUIESCE_SECONDS = 1  # in which a server that shuts down tells its clients to go elsewhere
ROOM = 5
"""Shards beyond the topology's that the servers' certificate names, so that adding one is easy."""


class HostedCluster:
    """The cluster that the environment describes."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self.topology = read_topology(self._environ)
        self._node_of = listening(self._environ)
        # Hosts have memory of their own, and mongod.conf is made for each (`mongod_conf`).
        self._shares_machine = not self._environ.get(NODES)
        self._profile = profiles.choose(self.topology, profiles.PRODUCTION)
        self.secrets = HostedSecrets(secrets_folder(self._environ), tls=uses_tls(self._environ))

    # ---- looking ------------------------------------------------------------------------------

    def access(self, more: str | None = None) -> Access:
        """What it takes to reach the servers, those of the shard `more` among them."""
        access = self.secrets.access(self._layout(shard_names(self.topology)))
        with access.connections(timeout=2.5) as connections:
            known = read_catalogue(connections, access.layout)
        names = {*shard_names(self.topology), *(known.shards if known else ())}
        if more is not None:
            names.add(more)
        return self.secrets.access(self._layout(sorted(names, key=_number)))

    def status(self) -> ClusterStatus:
        """How the servers are."""
        return inspect(self.access())

    def stopped(self) -> str:
        """Others start and stop the servers: it is not known."""
        return ""

    def _layout(self, shards: list[str]) -> Layout:
        return arrange(self.topology, shards, self._node_of, self._profile.catch_up_timeout_ms)

    # ---- making -------------------------------------------------------------------------------

    def prepare(self, report: Report) -> None:
        """Checks the settings, then makes the secrets that are missing; changes no others.

        Raises TopologyError with one line for each mistake.
        """
        secrets = self.secrets
        problems: list[str] = []
        if self._shares_machine:
            problems += environment.complaints(self.topology, self._environ, machine_memory())
        if (now := secrets.database()) not in (None, self.topology.database):
            problems.append(f"{variable('database')}: {kept_database(now, self.topology.database)}")
        if problems:
            raise TopologyError(*problems)
        if not secrets.key_file.exists():
            secrets.make_key()
            report("key file: made")
        if secrets.passwords()[1]:
            report("passwords: made")
        layout = self._layout(shard_names(self.topology))
        if secrets.ca_file and certificates.ensure(
            secrets.key_folder, secrets.operator_folder, self._names()
        ):
            report("certificates: made")
        if secrets.ensure_metrics_token():
            report("token of the metrics: made")
        if self._shares_machine and secrets.ensure_monitoring():
            report("password of Grafana: made")
        secrets.write_derived(layout, self.mongod_conf() if self._shares_machine else None)

    def mongod_conf(self) -> str:
        """What every mongod is set to that has SHARDSTACK_MEMBER_MEMORY, or a share of this one."""
        sizes = environment.member_sizes(self.topology, self._environ, machine_memory())
        return mongod_conf(self._profile, sizes, self.topology.election_timeout_ms)

    def _names(self) -> list[str]:
        """The names that the servers' certificate is good for, and those of shards to come."""
        if not self._shares_machine:
            hosts = sorted({node.host for node in self._layout(shard_names(self.topology)).nodes})
            domains = {host.partition(".")[2] for host in hosts}
            return [*(h for h in hosts if "." not in h), *(f"*.{d}" for d in sorted(domains) if d)]
        room = self.topology.changed(shards=min(32, self.topology.shards + ROOM))
        names = [name for s in (CONFIG_SET, *shard_names(room)) for name in member_names(room, s)]
        return [*names, *router_names(room)]

    def bootstrap(self, report: Report, phase: Report, more: str | None = None) -> None:
        """Makes the hosts a cluster, or makes it whole again; `more` names a shard to add."""
        access = self.access(more)
        asked = [*shard_names(self.topology), *([more] if more else [])]
        bootstrap(access, report, phase, watch=_NameWatch(access.layout, asked).look)

    # ---- changing -----------------------------------------------------------------------------

    def add_shard(self, name: str | None, *, report: Report, phase: Report) -> str:
        """Adds the shard whose members run already; without a name, the next one."""
        there = [shard.name for shard in self.access().layout.shards]
        if name is None:
            name = f"shard-{max(map(_number, there)) + 1}"
        elif not re.fullmatch(r"shard-[1-9]\d{0,3}", name):
            raise StateError(f"{name!r} is no name of a shard. They are shard-1, shard-2, …")
        self.bootstrap(report, phase, name)
        return name

    def remove_shard(self, name: str, *, report: Report) -> None:
        """Moves all data off a shard and takes it out of the cluster; its members run on."""
        if name in shard_names(self.topology):
            raise StateError(
                f"{name} belongs to the topology, so that the next `up` would add it again: "
                f"{variable('shards')} is {self.topology.shards}. Set it to a smaller number "
                "first; the last shards go first."
            )
        access = self.access()
        there = [shard.name for shard in access.layout.shards]
        if name not in there:
            raise StateError(f"there is no shard {name!r}. There are: {', '.join(there)}.")
        seconds = self._profile.orphan_cleanup_seconds
        drain(access.uri("admin"), name, report, orphan_cleanup_seconds=seconds)

    def restart(self, name: str) -> None:
        """Shuts a server down and waits until its supervisor has started it again."""
        access = self.access()
        nodes = {node.name: node for node in access.layout.nodes}
        if name not in nodes:
            raise StateError(f"there is no node {name!r}. There are: {', '.join(nodes)}.")
        shutdown_restart(access)(nodes[name])

    def keys(self) -> list[str]:
        """What the key file holds, the key to log in with first."""
        return self.secrets.keys()

    def write_key(self, keys: Sequence[str]) -> None:
        """Writes the key file of containers; a server reads it when it starts.

        Raises StateError for hosts.
        """
        self._assert_own("key")
        self.secrets.write_key(keys)

    def write_passwords(self, passwords: Mapping[str, str]) -> None:
        """Writes the users' passwords, with containers. Raises StateError for hosts."""
        self._assert_own("passwords")
        self.secrets.write_passwords(passwords)

    def make_whole(self, report: Report) -> None:
        """As `prepare` and `bootstrap` do."""
        self.prepare(report)
        self.bootstrap(report, lambda _: None)

    def _assert_own(self, what: str) -> None:
        if not self._shares_machine:
            raise StateError(
                "the secrets of hosts come from the vault on the control machine. Run there: "
                f"ansible-playbook rotate-secrets.yml -e what={what}"
            )


def shutdown_restart(access: Access, seconds: float = BACK_SECONDS) -> Callable[[Node], None]:
    """A way to restart servers whose supervisor starts them again when they end by themselves.

    A primary hands over first. Returns when the server that was told to shut down is gone and
    another has come in its place.
    """

    def restart(node: Node) -> None:
        replica_set = access.layout.set_of(node)
        with access.connections(timeout=CATCH_UP_SECONDS + 5) as connections:
            if replica_set:
                relieve(connections, replica_set, node)
            stopped = _Stopped(access, connections, node)
            stopped.shut_down()
            Waiter(seconds).until(
                stopped.is_back,
                lambda: (
                    f"{node.name} ({node.address}) was shut down and is not back after "
                    f"{seconds:.0f} s. Whatever supervises it must start it again: see its log."
                ),
                every=0.1,
            )

    return restart


class _Stopped:
    """One server that shuts down. Its successor is known by having been up for less time."""

    def __init__(self, access: Access, connections: Connections, node: Node) -> None:
        replica_set = access.layout.set_of(node)
        if replica_set:
            self._admin = connections.member(node).admin
        else:
            self._admin = connections.user(node, "admin", access.passwords["admin"]).admin
        # The only member of a set has nobody to hand over to.
        self._force = replica_set is not None and len(replica_set.members) == 1
        self._node = node
        self._since = time.monotonic()

    def shut_down(self) -> None:
        """Tells the server to shut down; ClusterError when it refuses."""
        try:
            self._admin.command("shutdown", force=self._force, timeoutSecs=QUIESCE_SECONDS)
        except OperationFailure as error:
            if not is_transient(error):
                raise refusal(self._node, error) from None
        except PyMongoError:
            pass  # it ends rather than answers

    def is_back(self) -> bool | None:
        """Whether a server answers that has been up for less time than passed since."""
        try:
            milliseconds = self._admin.command("serverStatus")["uptimeMillis"]
        except PyMongoError:
            return None
        return True if milliseconds / 1000 < time.monotonic() - self._since else None


class _NameWatch:
    """Reports hosts whose names do not resolve, rather than waiting for them until the deadline."""

    def __init__(self, layout: Layout, asked: Sequence[str]) -> None:
        """`asked`: the shards that were asked for; the cluster may have others, too."""
        self._names = [node.host for node in layout.nodes]
        self._others = {
            node.host: shard.name
            for shard in layout.shards
            if shard.name not in asked
            for node in shard.members
        }
        self._next = time.monotonic() + UNKNOWN_HOST_SECONDS
        self._known: set[str] = set()

    def look(self) -> None:
        """NodeError for a host whose name does not resolve."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + UNKNOWN_HOST_SECONDS
        for name in self._names:
            if name not in self._known:
                try:
                    socket.getaddrinfo(name, None)
                except socket.gaierror:
                    raise NodeError(self._unknown(name)) from None
                self._known.add(name)

    def _unknown(self, name: str) -> str:
        missing = f"{name} is not the name of a host or container here."
        if shard := self._others.get(name):
            return (
                f"{missing} {shard} is part of the cluster and holds data, so its members must "
                f"run: set {variable('shards')} to {_number(shard)} or more. To give it up, let "
                f"them run and move its data first: `remove-shard {shard}`."
            )
        return f"{missing} Start it, or give a topology that does without it."


def _number(shard: str) -> int:
    return int(shard.rpartition("-")[2])

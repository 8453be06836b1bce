"""Which nodes a cluster has, what they are called, and where they listen.

Whoever runs the servers (processes, containers, droplets) says where each listens, and gets a
Layout; the bootstrap, the status and everything else need to know no more about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cluster.model.topology import AUTO, Topology

CONFIG_SET = "cfg"


@dataclass(frozen=True)
class Node:
    """One server and where it listens."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """`host:port`, as replica set configurations write it."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ReplicaSet:
    """A set of mongods; `is_config` tells the config servers from the shards."""

    name: str
    members: tuple[Node, ...]
    is_config: bool = False

    @property
    def seed(self) -> str:
        """`name/host:port,host:port`: what addShard and a router's --configdb take."""
        return f"{self.name}/{','.join(member.address for member in self.members)}"


@dataclass(frozen=True)
class Layout:
    """Every node of a cluster, with the timings its sets shall have.

    `oplog_mb` is the size that each member's oplog shall have, None where it may stay as it is.
    """

    config: ReplicaSet
    shards: tuple[ReplicaSet, ...]
    routers: tuple[Node, ...]
    election_timeout_ms: int
    heartbeat_interval_ms: int
    catch_up_timeout_ms: int
    oplog_mb: int | None
    database: str

    @property
    def sets(self) -> tuple[ReplicaSet, ...]:
        """The config servers' set, then the shards."""
        return (self.config, *self.shards)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node: the config servers, the shards' members, the routers."""
        return (*(node for s in self.sets for node in s.members), *self.routers)

    def set_of(self, node: Node) -> ReplicaSet | None:
        """The replica set that a node is a member of; None for a router."""
        return next((one for one in self.sets if node in one.members), None)


def shard_names(topology: Topology) -> list[str]:
    """shard-1, shard-2, …: the shards that a new cluster has."""
    return [f"shard-{n}" for n in range(1, topology.shards + 1)]


def router_names(topology: Topology) -> list[str]:
    """router-1, router-2, …"""
    return [f"router-{n}" for n in range(1, topology.routers + 1)]


def member_names(topology: Topology, set_name: str) -> list[str]:
    """config-1, config-2, … of the config servers' set; shard-1-1, shard-1-2, … of a shard."""
    if set_name == CONFIG_SET:
        return [f"config-{n}" for n in range(1, topology.config_servers + 1)]
    return [f"{set_name}-{n}" for n in range(1, topology.members + 1)]


def arrange(
    topology: Topology,
    shards: Iterable[str],
    node_of: Callable[[str], Node],
    catch_up_timeout_ms: int,
) -> Layout:
    """The cluster of these shards; `node_of` tells where the node of a name listens."""

    def made(name: str) -> ReplicaSet:
        members = tuple(node_of(member) for member in member_names(topology, name))
        return ReplicaSet(name, members, is_config=name == CONFIG_SET)

    return Layout(
        config=made(CONFIG_SET),
        shards=tuple(made(name) for name in shards),
        routers=tuple(node_of(name) for name in router_names(topology)),
        election_timeout_ms=topology.election_timeout_ms,
        heartbeat_interval_ms=topology.heartbeat_interval_ms,
        catch_up_timeout_ms=catch_up_timeout_ms,
        oplog_mb=None if topology.oplog_mb == AUTO else int(topology.oplog_mb),
        database=topology.database,
    )

"""Where the nodes of a cluster of containers or hosts listen.

Containers have a rule: a node listens under its own name, on MongoDB's port for its kind. Of hosts,
which may have several nodes each, a file tells (SHARDSTACK_NODES), a JSON array:

    [{"name": "shard-1-2", "host": "db-2.internal.example.com", "port": 27021}, …]

What it lists is what there is: the numbers of shards, members, config servers and routers follow
from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from cluster.errors import NodeError, TopologyError
from cluster.model.layout import Node

NODES = "SHARDSTACK_NODES"
# MongoDB's own defaults for a router, a shard's member and a config server (mongod's manual page).
ROUTER_PORT, SHARD_PORT, CONFIG_PORT = 27017, 27018, 27019


def listening(environ: Mapping[str, str]) -> Callable[[str], Node]:
    """What tells where the node of a name listens: the nodes file, or the rule of containers.

    The function raises NodeError for a name that the file does not list.
    """
    nodes = read(environ)
    if nodes is None:
        return node_of

    def listed(name: str) -> Node:
        if (found := nodes.get(name)) is None:
            raise NodeError(
                f"the cluster has {name}, and {environ[NODES]} does not tell where it listens. "
                "Add it there, with its host and port."
            )
        return found

    return listed


def node_of(name: str) -> Node:
    """Where the container of this name listens: at its name, on MongoDB's port for its kind."""
    kind = name.partition("-")[0]
    port = {"router": ROUTER_PORT, "config": CONFIG_PORT}.get(kind, SHARD_PORT)
    return Node(name, name, port)


def read(environ: Mapping[str, str]) -> dict[str, Node] | None:
    """What SHARDSTACK_NODES' file lists, by name; None where the variable is not set.

    Raises TopologyError with one line per mistake.
    """
    file = environ.get(NODES)
    if not file:
        return None
    try:
        nodes = msgspec.json.decode(Path(file).read_bytes(), type=list[Node])
    except (OSError, msgspec.DecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise TopologyError(f"{NODES}: {file} cannot be read: {why}.") from None
    if problems := list(_mistakes(nodes)):
        raise TopologyError(*(f"{NODES}: {file}: {problem}" for problem in problems))
    return {node.name: node for node in nodes}


NAME = re.compile(r"(config|router|shard-[1-9]\d{0,3})-([1-9]\d{0,3})")


def _mistakes(nodes: list[Node]) -> Iterator[str]:
    names = [node.name for node in nodes]
    addresses = [node.address for node in nodes]
    for node in nodes:
        if not NAME.fullmatch(node.name):
            yield f"{node.name!r} is no name of a node. They are config-1, shard-1-2, router-1."
        if not 0 < node.port < 2**16:
            yield f"the port of {node.name} is {node.port}. Give one from 1 to 65535."
    yield from (f"{one} is listed twice." for one in dict.fromkeys(names) if names.count(one) > 1)
    for address in dict.fromkeys(addresses):
        if addresses.count(address) > 1:
            there = [node.name for node in nodes if node.address == address]
            yield f"{' and '.join(there)} are both at {address}."
    groups = {name.rpartition("-")[0] for name in names if NAME.fullmatch(name)}
    for group in sorted(groups):
        found = sorted(int(n.rpartition("-")[2]) for n in names if n.rpartition("-")[0] == group)
        if found != list(range(1, len(found) + 1)) and len(set(found)) == len(found):
            yield f"the nodes of {group} are not numbered from 1 to {len(found)}."
    sizes = {g: sum(n.rpartition("-")[0] == g for n in names) for g in groups if "-" in g}
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{group} has {size}" for group, size in sorted(sizes.items()))
        yield f"all shards must have the same number of members, and {each}."
    for kind in ("config", "shard", "router"):
        if not any(name.startswith(f"{kind}-") for name in names):
            yield f"there is no {kind}-1{'-1' if kind == 'shard' else ''}."


def numbers(names: list[str]) -> dict[str, int]:
    """How many of each the topology has, by the names of all nodes."""
    groups = [name.rpartition("-")[0] for name in names]
    shards = {group for group in groups if group.startswith("shard-")}
    return {
        "config_servers": groups.count("config"),
        "routers": groups.count("router"),
        "shards": len(shards),
        "members": groups.count(next(iter(shards))),
    }

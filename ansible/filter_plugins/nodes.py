"""Which nodes of the cluster are on which hosts, by the groups of the inventory.

The i-th host of the group `config` runs config-i, of `shard_2` shard-2-i, of `routers` router-i.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

CONFIG_PORT, ROUTER_PORT = 27019, 27017  # MongoDB's own
SHARDS_BASE = 27020  # shard-1 listens on 27021, …: a host may have a member of each


def shard_groups(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """shard_1, shard_2, … in the order of their numbers; only those that have hosts."""
    found = [name for name in groups if re.fullmatch(r"shard_[1-9]\d*", name) and groups[name]]
    return sorted(found, key=_number)


def stack_nodes(
    groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Every node: `name`, `kind`, `set`, `host` (a DNS name), `port`; `on`, which host it is."""
    kinds = [("config", "config", "cfg", CONFIG_PORT)]
    for group in shard_groups(groups):
        name = f"shard-{_number(group)}"
        kinds.append((group, name, name, SHARDS_BASE + _number(group)))
    kinds.append(("routers", "router", "", ROUTER_PORT))
    return [
        {
            "name": f"{stem}-{number}",
            "kind": stem.partition("-")[0],
            "set": set_name,
            "host": hostvars[on].get("private_name", on),
            "port": port,
            "on": on,
        }
        for group, stem, set_name, port in kinds
        for number, on in enumerate(groups.get(group, ()), 1)
    ]


def with_servers(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """The hosts that run a mongod or a router."""
    names = ("config", "routers", *shard_groups(groups))
    return list(dict.fromkeys(host for name in names for host in groups.get(name, ())))


def mostly_new(
    nodes: Sequence[Mapping[str, Any]], hostvars: Mapping[str, Any]
) -> dict[str, list[str]]:
    """The sets that have data, but not where most of their members are: each with those hosts.

    `preflight_without_data` of each host is what preflight found: its members without data.
    """
    found = {}
    for name in dict.fromkeys(node["set"] for node in nodes if node["set"]):
        members = [node for node in nodes if node["set"] == name]
        new = [
            node["on"]
            for node in members
            if node["name"] in hostvars[node["on"]]["preflight_without_data"]["stdout_lines"]
        ]
        if len(members) <= 2 * len(new) < 2 * len(members):
            found[name] = list(dict.fromkeys(new))
    return found


def _number(group: str) -> int:
    return int(group.rpartition("_")[2])


class FilterModule:
    """As Ansible finds filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters, by name."""
        return {
            "stack_nodes": stack_nodes,
            "shard_groups": shard_groups,
            "with_servers": with_servers,
            "mostly_new": mostly_new,
        }

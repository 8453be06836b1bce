"""Which droplets a stack has, and which parts of the cluster run on each.

dev      one droplet with everything: sets of one member, no fail-over
small    three droplets, each a member of every set, a router and an API node
large    a droplet for each config server, member, router and API node, and one for monitoring
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from deploy.stack import Stack

CONFIG, ROUTERS, API, EDGE, MONITORING = "config", "routers", "api", "edge", "monitoring"


def shard_group(number: int) -> str:
    """The group of the hosts that have the members of a shard."""
    return f"shard_{number}"


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One droplet that a stack shall have.

    `groups` are those of the inventory. `number` is its place in each of them, from 1. `volume_gib`
    is the size of its data volume, 0 without one.
    """

    name: str
    groups: tuple[str, ...]
    number: int
    size: str
    volume_gib: int = 0


def hosts(stack: Stack) -> list[Host]:
    """The droplets of a stack, in the order in which they are made and listed."""
    return list(_large(stack) if stack.layout == "large" else _shared(stack))


def group_names(stack: Stack) -> list[str]:
    """The groups of the stack's inventory."""
    return [CONFIG, *_shards(stack), ROUTERS, API, EDGE, MONITORING]


def _shards(stack: Stack) -> list[str]:
    return [shard_group(number) for number in range(1, stack.shards + 1)]


def _shared(stack: Stack) -> Iterator[Host]:
    """Hosts that have a bit of everything; only the first watches over the others."""
    for number in range(1, (1 if stack.layout == "dev" else 3) + 1):
        groups = [CONFIG, *_shards(stack), ROUTERS, API, EDGE]
        yield Host(
            name=f"{stack.name}-{number}",
            groups=(*groups, MONITORING) if number == 1 else tuple(groups),
            number=number,
            size=stack.host_size,
            volume_gib=stack.host_volume_gib,
        )


def _large(stack: Stack) -> Iterator[Host]:
    name = stack.name
    parts: list[tuple[str, tuple[str, ...], int, str, int]] = [
        ("config", (CONFIG,), stack.config_servers, stack.config_size, stack.config_volume_gib),
        *(
            (
                f"shard-{number}",
                (shard_group(number),),
                stack.members,
                stack.shard_size,
                stack.shard_volume_gib,
            )
            for number in range(1, stack.shards + 1)
        ),
        ("router", (ROUTERS,), stack.routers, stack.router_size, 0),
        ("api", (API, EDGE), stack.api_nodes, stack.api_size, 0),
        ("monitoring", (MONITORING,), 1, stack.monitoring_size, 0),
    ]
    for part, groups, count, size, gib in parts:
        for number in range(1, count + 1):
            yield Host(
                name=f"{name}-{part}-{number}",
                groups=groups,
                number=number,
                size=size,
                volume_gib=gib,
            )

"""The memory of the members: what follows from it, and whether what is asked fits into it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cluster.hosted.environment import variable
from cluster.memory import GIB, Sizes, mongods, sizes
from cluster.topology import Topology

LIMIT = "SHARDSTACK_MEMBER_MEMORY"
BESIDE_CACHE = 160 * 2**20  # what a mongod takes beside its cache: code, connections, sorts
REST = 512 * 2**20  # routers, API, Caddy
UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def member_sizes(topology: Topology, environ: Mapping[str, str], total: int) -> Sizes:
    """The sizes of each member on a machine of `total` bytes.

    A member has what SHARDSTACK_MEMBER_MEMORY gives it, or else an equal share of the machine.
    """
    given = _bytes(environ.get(LIMIT) or "")
    return sizes(topology, given or total / mongods(topology))


def complaints(topology: Topology, environ: Mapping[str, str], total: int) -> Iterator[str]:
    """One line for each thing that cannot work on a machine of `total` bytes."""
    count = mongods(topology)
    cache_gb = member_sizes(topology, environ, total).cache_gb
    cache = int(cache_gb * GIB)
    if limit := environ.get(LIMIT):
        given = _bytes(limit)
        if given is None:
            yield f"{LIMIT} is {limit!r}. Give a size such as 512m or 2g."
        elif given < cache + BESIDE_CACHE:
            least = -(-(cache + BESIDE_CACHE) // 2**20)
            yield (
                f"{LIMIT} is {limit}, too little for a mongod whose cache is "
                f"{cache_gb} GiB. Give {least}m or more, or a smaller "
                f"{variable('cache_gb')} (at least 0.25)."
            )
    need = count * cache + REST
    if total < need:
        yield (
            f"this machine has {total / GIB:.1f} GiB of memory, and {count} mongods with a cache "
            f"of {cache_gb} GiB may grow to {need / GIB:.1f} GiB. Use a larger machine, "
            f"fewer shards, a smaller {LIMIT}, or a smaller {variable('cache_gb')} (at least 0.25)."
        )


def _bytes(text: str) -> int | None:
    found = re.fullmatch(r"(\d+)([bkmg]?)b?", text.lower())
    return int(found[1]) * UNITS[found[2]] if found else None

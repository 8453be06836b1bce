"""Whether there is memory enough for what is asked: known before anything is started."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cluster.hosted.environment import variable
from cluster.topology import Topology

LIMIT = "SHARDSTACK_MEMBER_MEMORY"
GIB = 2**30
BESIDE_CACHE = 160 * 2**20  # what a mongod takes beside its cache: code, connections, sorts
REST = 512 * 2**20  # routers, API, Caddy
UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def complaints(topology: Topology, environ: Mapping[str, str], total: int) -> Iterator[str]:
    """One line for each thing that cannot work on a machine of `total` bytes."""
    mongods = topology.config_servers + topology.shards * topology.members
    cache = int(topology.cache_gb * GIB)
    if limit := environ.get(LIMIT):
        given = _bytes(limit)
        if given is None:
            yield f"{LIMIT} is {limit!r}. Give a size such as 512m or 2g."
        elif given < cache + BESIDE_CACHE:
            least = -(-(cache + BESIDE_CACHE) // 2**20)
            yield (
                f"{LIMIT} is {limit}, too little for a mongod whose cache is "
                f"{topology.cache_gb} GiB. Give {least}m or more, or a smaller "
                f"{variable('cache_gb')} (at least 0.25)."
            )
    need = mongods * cache + REST
    if total < need:
        yield (
            f"this machine has {total / GIB:.1f} GiB of memory, and {mongods} mongods with a cache "
            f"of {topology.cache_gb} GiB may grow to {need / GIB:.1f} GiB. Use a larger machine, "
            f"fewer shards, or a smaller {variable('cache_gb')} (at least 0.25)."
        )


def total_memory() -> int:
    """Bytes of memory of this machine (proc_meminfo(5))."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    return int(text.split("MemTotal:")[1].split()[0]) * 1024


def _bytes(text: str) -> int | None:
    found = re.fullmatch(r"(\d+)([bkmg]?)b?", text.lower())
    return int(found[1]) * UNITS[found[2]] if found else None

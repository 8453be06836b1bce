"""The sizes of a member that follow from the memory it has, unless the topology sets them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.topology import AUTO, Topology

MIB, GIB = 2**20, 2**30

LEAST_CACHE_GB = 0.25
LEAST_OPLOG_MB, MOST_OPLOG_MB = 512, 50 * 1024
LEAST_CONNECTIONS, MOST_CONNECTIONS = 1000, 65536
CONNECTIONS_PER_GIB = 750


@dataclass(frozen=True)
class Sizes:
    """Of one member: WiredTiger's cache in GiB, the oplog in MiB, connections that may come in."""

    cache_gb: float
    oplog_mb: int
    connections: int


def sizes(topology: Topology, memory: float) -> Sizes:
    """The sizes of a member that has `memory` bytes; what the topology sets is taken as it is.

    The cache is MongoDB's own rule: half of what there is beyond 1 GiB, at least 0.25 GiB. The
    oplog is half the memory, so that what a secondary reads of it, or a change stream, is mostly
    still there; MongoDB's own rule is 5 % of the free disk, which members on one disk would each
    count for themselves, with the same upper limit. Connections are as many as MongoDB's own
    service gives to a server of that memory (M10 to M30): each takes up to 1 MiB.
    Sources: https://www.mongodb.com/docs/manual/core/wiredtiger/#memory-use,
    …/core/replica-set-oplog/#oplog-size,
    https://www.mongodb.com/docs/atlas/reference/atlas-limits/#connection-limits
    """
    cache = max(LEAST_CACHE_GB, round((memory / GIB - 1) / 2, 2))
    oplog = min(max(LEAST_OPLOG_MB, int(memory / MIB / 2)), MOST_OPLOG_MB)
    connections = int(memory / GIB * CONNECTIONS_PER_GIB)
    connections = min(max(LEAST_CONNECTIONS, connections), MOST_CONNECTIONS)
    return Sizes(
        cache if topology.cache_gb == AUTO else float(topology.cache_gb),
        oplog if topology.oplog_mb == AUTO else int(topology.oplog_mb),
        connections if topology.connections == AUTO else int(topology.connections),
    )


def mongods(topology: Topology) -> int:
    """How many mongods the cluster has."""
    return topology.config_servers + topology.shards * topology.members


def machine_memory(root: Path = Path("/")) -> int:
    """Bytes of memory of this machine (proc_meminfo(5))."""
    text = (root / "proc/meminfo").read_text(encoding="ascii")
    return int(text.split("MemTotal:")[1].split()[0]) * 1024


def usable_memory(root: Path = Path("/")) -> int:
    """Bytes that this process and those it starts may use; in a container, of what the machine has.

    The limits are those of its control group and of all above it (cgroups(7)): memory.max in
    version 2, memory.limit_in_bytes in version 1.
    """
    found = [machine_memory(root)]
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        groups = []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        folder = top / path.strip("/")
        for place in [folder, *folder.parents]:
            if place.is_relative_to(top):
                found += _limit(place / name)
    return min(found)


def _limit(file: Path) -> list[int]:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return []  # the top group has no such file, and what is above a container's is not seen
    return [int(text)] if text.isdecimal() else []

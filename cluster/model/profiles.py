"""How every mongod is set, and how large: what all have in common, what is otherwise on a laptop.

`laptop` is for processes of one machine, which somebody starts and stops all day; `production` for
containers and hosts, whose data matter. A deployment takes the profile of its kind unless the
topology's `profile` names one (`choose`). Names, ports and folders are flags, which whoever starts
the mongod adds; sizes that the topology leaves open follow from the memory that a member has
(`sizes`).
Source: https://www.mongodb.com/docs/manual/reference/configuration-options/, …/parameters/
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.model.topology import AUTO, Topology

Settings = Mapping[str, Any]

ORPHAN_CLEANUP_SECONDS = 900  # MongoDB's default of orphanCleanupDelaySecs
ELECTION_TAKES = 0.5  # s from a candidate's first question until all know the new primary; 0.3 seen

COMMON: Settings = {
    "net": {
        "unixDomainSocket": {"enabled": False},  # one way in, with TLS where that is on
        "compression": {"compressors": "snappy,zstd"},  # no zlib: see servers/exposure.py
    },
    "security": {"authorization": "enabled"},
    "systemLog": {"quiet": True},  # not a line for each connection
    "setParameter": {
        # Nobody comes in without a credential, also from the same machine: servers/exposure.py.
        "enableLocalhostAuthBypass": False,
        # A secondary gives up a primary that stands still at the first read without an answer;
        # by default it tries once more. How long it waits: `_network_buffer_s`.
        "oplogFetcherSteadyStateMaxFetcherRestarts": 0,
    },
}


@dataclass(frozen=True)
class Profile:
    """`settings` go beside COMMON; the rest explains itself where the profiles are declared."""

    name: str
    memory_share: float
    catch_up_timeout_ms: int
    settings: Settings

    @property
    def orphan_cleanup_seconds(self) -> int:
        """How long a shard keeps the documents of a chunk that left it; until then none returns."""
        delay = self.settings["setParameter"].get("orphanCleanupDelaySecs", ORPHAN_CLEANUP_SECONDS)
        return int(delay)


LAPTOP = Profile(
    "laptop",
    # All members together may count on a quarter of the machine's memory: people work there, too.
    memory_share=0.25,
    # A new primary does not wait long for one that does not answer. What was acknowledged by a
    # majority it has in any case.
    catch_up_timeout_ms=300,
    settings={
        "storage": {
            "wiredTiger": {
                "engineConfig": {
                    # 17 MiB on disk for an empty member; with the default journal, made of files
                    # of 100 MiB and two more in reserve, 300.
                    "configString": "log=(prealloc=false,file_max=16MB)",
                }
            }
        },
        "setParameter": {
            # The default waits 15 s for clients to go elsewhere, which takes them a moment.
            "shutdownTimeoutMillisForSignaledShutdown": 500,
            # What MongoDB's support would ask for: a file of some 100 MiB for each member.
            "diagnosticDataCollectionEnabled": False,
            # Each server logs in to each other with the key, which costs a third of what a boot
            # does at the default of 15,000 rounds. Rounds make guessing dearer; a key of 4,800
            # random bits and passwords of 192 cannot be guessed.
            "scramSHA256IterationCount": 5000,
            # How long a moved chunk's remains stay (on shards); the default of 15 minutes keeps
            # the chunk from moving back.
            "orphanCleanupDelaySecs": 1,
        },
    },
)

PRODUCTION = Profile(
    "production",
    memory_share=1,  # the machine is there for its members
    # MongoDB's default, without end: a new primary takes over whatever it can still get, also
    # what no majority has acknowledged yet.
    catch_up_timeout_ms=-1,
    settings={
        "setParameter": {
            # So long a primary that is told to stop waits for a secondary to have everything
            # before it steps down, and then for its clients to go elsewhere, which takes them less
            # than a second. The default of 15 s is spent in full by each member at each stop.
            "shutdownTimeoutMillisForSignaledShutdown": 5000,
            # A member whose disk stands still goes on to answer heartbeats, and so remains primary
            # while every write to its shard waits. The watchdog ends such a member after 60 to
            # 120 s, and the others elect. It is off by default, and 60 s is the least it takes.
            "watchdogPeriodSeconds": 60,
            # And MongoDB's defaults for all else: diagnostic data, for whoever has to find out
            # later what happened; orphans for 15 minutes, for cursors that still read them; the
            # journal; 15,000 rounds of SCRAM, since there may be users whose passwords people
            # made.
        },
    },
)

PROFILES = {profile.name: profile for profile in (LAPTOP, PRODUCTION)}


def choose(topology: Topology, usual: Profile) -> Profile:
    """The profile that the topology names; where it leaves that open, the `usual` one."""
    return usual if topology.profile == AUTO else PROFILES[topology.profile]


def mongod_conf(profile: Profile, sizes: Sizes, election_timeout_ms: int) -> str:
    """The text of a mongod's configuration file (YAML, of which JSON is a part)."""
    buffer = _network_buffer_s(election_timeout_ms / 1000)
    measured = {
        "setParameter": {"oplogNetworkTimeoutBufferSeconds": buffer},
        "net": {"maxIncomingConnections": sizes.connections},
        "replication": {"oplogSizeMB": sizes.oplog_mb},
        "storage": {"wiredTiger": {"engineConfig": {"cacheSizeGB": sizes.cache_gb}}},
    }
    settings = _merged(_merged(COMMON, profile.settings), measured)
    head = (
        f"# Profile {profile.name}. `up` and `prepare` write this file, and lose what is changed."
    )
    return f"{head}\n{json.dumps(settings, indent=2)}\n"


def _network_buffer_s(election_timeout: float) -> int:
    """How long, in s, a secondary waits beyond its read's own time for an answer of the primary.

    A read of the oplog asks the primary to wait for news for half the election timeout, 5 s at
    most; the secondary gives it up when this buffer, too, has passed. Until then no majority can
    acknowledge what the next primary takes, so it is to be short: with MongoDB's 5 s, writes waited
    for 14 s instead of 4 (measured in production's profile, election timeout 1.7 s). But others
    must have elected a primary by then, up to 1.15 election timeouts and a few round trips after
    the last heartbeat. A secondary that gives up earlier knows no other source, asks the one that
    stands still again, and waits for that answer up to 30 s, which no parameter bounds. With a
    buffer of 1 s members did so 19 times in 9 faults, and writes once waited for 10.1 s; with the
    2 s that follow from 1.7 s, never.
    Source: MongoDB's oplog_fetcher.cpp, sync_source_resolver.cpp and replication_coordinator_impl
    (`electionTimeoutOffsetLimitFraction`, 0.15).
    """
    asked = min(election_timeout / 2, 5)
    return math.ceil(election_timeout * 1.15 + ELECTION_TAKES - asked)


def _merged(one: Settings, other: Settings) -> dict[str, Any]:
    found = dict(one)
    for name, value in other.items():
        below = found.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            found[name] = _merged(below, value)
        else:
            found[name] = value
    return found


# ---- sizes -------------------------------------------------------------------------------------

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
        for group in [folder, *folder.parents]:
            if group.is_relative_to(top):
                found += _limit(group / name)
    return min(found)


def _limit(file: Path) -> list[int]:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return []  # the top group has no such file, and what is above a container's is not seen
    return [int(text)] if text.isdecimal() else []

"""How every mongod is set: what all have in common, and what is otherwise on a laptop.

`laptop` is for processes of one machine, which somebody starts and stops all day; `production` for
containers and hosts, whose data matter. A place takes the profile of its kind unless the topology's
`profile` names one (`choose`). Names, ports and folders are flags, which whoever starts the mongod
adds; sizes follow from memory (`cluster.memory`).
Source: https://www.mongodb.com/docs/manual/reference/configuration-options/, …/parameters/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.memory import Sizes
from cluster.topology import AUTO, Topology

Settings = Mapping[str, Any]

ORPHAN_CLEANUP_SECONDS = 900  # MongoDB's default of orphanCleanupDelaySecs

COMMON: Settings = {
    "net": {
        "unixDomainSocket": {"enabled": False},  # one way in, with TLS where that is on
        "compression": {"compressors": "snappy,zstd"},  # no zlib: see cluster/exposure.py
    },
    "security": {"authorization": "enabled"},
    "systemLog": {"quiet": True},  # not a line for each connection
    "setParameter": {
        # Nobody comes in without a credential, also from the same machine: cluster/exposure.py.
        "enableLocalhostAuthBypass": False,
        # A secondary whose primary stands still, rather than dies, gives up reading from it after
        # 2 s; with MongoDB's defaults after 6, twice. So long no majority can acknowledge what the
        # next primary takes: writes then waited for 14 s instead of 4 (measured in production's
        # profile), which is more than a request of the API may take. The price is that secondaries
        # look for another source sooner where the network is slow.
        "oplogNetworkTimeoutBufferSeconds": 1,
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
        """How long a shard keeps what it has of a moved chunk, which cannot come back so long."""
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
            # The default waits 15 s for clients to go elsewhere, which they do at once.
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
            # And MongoDB's defaults for all else: diagnostic data, for whoever has to find out
            # later what happened; orphans for 15 minutes, for cursors that still read them; the
            # journal; 15,000 rounds of SCRAM, since there may be users whose passwords people
            # made.
        },
    },
)

PROFILES = {profile.name: profile for profile in (LAPTOP, PRODUCTION)}


def choose(topology: Topology, usual: Profile) -> Profile:
    """The profile that the topology names; where it leaves that open, the `usual` of the place."""
    return usual if topology.profile == AUTO else PROFILES[topology.profile]


def mongod_conf(profile: Profile, sizes: Sizes) -> str:
    """The text of a mongod's configuration file (YAML, of which JSON is a part)."""
    measured = {
        "net": {"maxIncomingConnections": sizes.connections},
        "replication": {"oplogSizeMB": sizes.oplog_mb},
        "storage": {"wiredTiger": {"engineConfig": {"cacheSizeGB": sizes.cache_gb}}},
    }
    settings = _merged(_merged(COMMON, profile.settings), measured)
    head = (
        f"# Profile {profile.name}. `up` and `prepare` write this file, and lose what is changed."
    )
    return f"{head}\n{json.dumps(settings, indent=2)}\n"


def _merged(one: Settings, other: Settings) -> dict[str, Any]:
    found = dict(one)
    for name, value in other.items():
        below = found.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            found[name] = _merged(below, value)
        else:
            found[name] = value
    return found

"""What the environment of a container or host says of the cluster it belongs to.

The topology, the folder of secrets, TLS, and the memory that members have: what follows from it,
and whether what is asked fits into it. Where nodes listen is in nodes.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.errors import StateError, TopologyError
from cluster.hosted import nodes
from cluster.model.profiles import GIB, Sizes, mongods, sizes
from cluster.model.topology import FILE_VARIABLE, SETTINGS, Setting, Topology, load

SECRETS = "SHARDSTACK_SECRETS"
TLS = "SHARDSTACK_CLUSTER_TLS"


def variable(name: str) -> str:
    """The variable of one setting of the topology, by its name."""
    return SETTINGS[name].variable


def read_topology(environ: Mapping[str, str]) -> Topology:
    """The topology: SHARDSTACK_TOPOLOGY's file, else the default, with single values overridden.

    A variable that is empty counts as not set. Where SHARDSTACK_NODES lists the nodes, their
    numbers follow from it; a smaller SHARDSTACK_SHARDS leaves out the last shards, which are to be
    removed. Raises TopologyError with one line per mistake.
    """
    file = environ.get(FILE_VARIABLE)
    values: dict[str, Any] = {}
    problems = []
    listed = nodes.read(environ)
    for name, setting in SETTINGS.items():
        if not setting.here_only and (text := environ.get(setting.variable, "")):
            try:
                values[name] = setting.read(text)
            except ValueError:
                problems.append(f"{setting.variable} is {text!r}, which is no number.")
    if problems:
        raise TopologyError(*problems)
    counts = nodes.numbers(list(listed)) if listed else {}
    if "shards" in values and "shards" in counts:
        counts["shards"] = min(counts["shards"], values["shards"])

    def named(setting: Setting) -> str:
        return f"{nodes.NODES}: {setting.name}" if setting.name in counts else setting.variable

    return load(Path(file) if file else None, values | counts, named)


def secrets_folder(environ: Mapping[str, str]) -> Path:
    """Where the cluster's secrets are; StateError when the environment does not say."""
    if folder := environ.get(SECRETS):
        return Path(folder)
    raise StateError(f"{SECRETS} is not set. It names the folder of the cluster's secrets.")


def uses_tls(environ: Mapping[str, str]) -> bool:
    """Whether the servers speak TLS; StateError for a word that is neither on nor off."""
    word = environ.get(TLS) or "off"
    if word not in ("on", "off"):
        raise StateError(f"{TLS} is {word!r}. Give on or off.")
    return word == "on"


# ---- memory ------------------------------------------------------------------------------------

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

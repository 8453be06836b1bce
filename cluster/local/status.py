"""The status of a local cluster: what its servers say, with what this machine knows of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import psutil

from cluster.local.boot import MIB_TO_WORK
from cluster.local.nodes import LocalNodes, listed
from cluster.status import ClusterStatus, MemberStatus, RouterStatus, inspect


def local_status(cluster: LocalNodes) -> ClusterStatus:
    """Asks the servers and adds each process's id and memory; StateError without a cluster."""
    found = inspect(cluster.access())
    pids = {node.name: node.pid for node in cluster.nodes()}
    members = [member for replica_set in found.sets for member in replica_set.members]
    servers: list[MemberStatus | RouterStatus] = [*members, *found.routers]
    for server in servers:
        server.pid = pids[server.name]
        server.rss_mib = _rss(server.pid)
    found.problems += _what_to_do(cluster, [name for name, pid in pids.items() if pid is None])
    found.healthy = not found.problems
    return found


def _what_to_do(cluster: LocalNodes, stopped: list[str]) -> Iterator[str]:
    """A mongod ends when it cannot write, and nobody but `up` starts it again here."""
    folder = cluster.state.folder
    free = shutil.disk_usage(folder).free // 2**20
    if free < MIB_TO_WORK:
        yield (
            f"the disk of {folder} is full ({free} MiB are free): members end when they cannot "
            "write. Free some space, then run `up`, which starts them again"
        )
    elif stopped:
        yield f"{listed(stopped)}: not running. Start what is missing with `up`"


def _rss(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss) // 2**20
    except psutil.Error:
        return None

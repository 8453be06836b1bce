"""The status of a local cluster: what its servers say, with what this machine knows of them."""

from __future__ import annotations

import psutil

from cluster.local.cluster import LocalCluster
from cluster.status import ClusterStatus, MemberStatus, RouterStatus, inspect


def local_status(cluster: LocalCluster) -> ClusterStatus:
    """Asks the servers and adds each process's id and memory; StateError without a cluster."""
    found = inspect(cluster.access())
    pids = {node.name: node.pid for node in cluster.nodes()}
    members = [member for replica_set in found.sets for member in replica_set.members]
    servers: list[MemberStatus | RouterStatus] = [*members, *found.routers]
    for server in servers:
        server.pid = pids[server.name]
        server.rss_mib = _rss(server.pid)
    return found


def _rss(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss) // 2**20
    except psutil.Error:
        return None

"""Where the cluster is that a command is about, and so who runs its servers.

With SHARDSTACK_SECRETS set, they are containers or hosts that listen under their own names
(`hosted`); otherwise processes of this machine, in a state folder (`local`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cluster.access import Access


class Place(Protocol):
    """What a command can ask of a cluster wherever it is."""

    def access(self) -> Access:
        """What it takes to reach the servers; ClusterError where there is no cluster."""


def place(state: str) -> Place:
    """The cluster of the environment, or of the state folder."""
    from cluster.local.cluster import LocalCluster  # noqa: PLC0415 - takes 0.2 s

    return LocalCluster(Path(state))

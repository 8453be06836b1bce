"""Where the cluster is that a command is about, and so who runs its servers.

With SHARDSTACK_SECRETS set, they are containers or hosts that listen under their own names
(`hosted`); otherwise processes of this machine, in a state folder (`local`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from cluster.access import Access
from cluster.hosted.environment import SECRETS
from cluster.status import ClusterStatus

Report = Callable[[str], None]


class Place(Protocol):
    """What a command can ask of a cluster wherever it is. Each raises ClusterError."""

    def access(self) -> Access:
        """What it takes to reach the servers."""

    def status(self) -> ClusterStatus:
        """How the servers are."""

    def add_shard(self, name: str | None, *, report: Report, phase: Report) -> str:
        """One more shard, the next one where no name is given; returns its name."""

    def remove_shard(self, name: str, *, report: Report) -> None:
        """Moves all data off a shard and takes it out of the cluster."""

    def restart(self, name: str) -> None:
        """Makes one server stop cleanly and come back; it need not serve yet."""

    def keys(self) -> list[str]:
        """What the key file holds: the key to log in with, and a second while keys are changed."""

    def write_key(self, keys: Sequence[str]) -> None:
        """Writes the key file for all servers, whole or not at all; they read it at their start."""


def place(state: str) -> Place:
    """The cluster of the environment, or else of the state folder."""
    if SECRETS in os.environ:
        from cluster.hosted.cluster import HostedCluster  # noqa: PLC0415 - not on this machine

        return HostedCluster()
    from cluster.local.cluster import LocalCluster  # noqa: PLC0415 - takes 0.2 s

    return LocalCluster(Path(state))

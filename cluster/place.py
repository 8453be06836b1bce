"""Where the cluster is that a command is about, and so who runs its servers.

With SHARDSTACK_SECRETS set, they are containers or hosts that listen under their own names
(`hosted`); otherwise processes of this machine, in a state folder (`local`).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cluster.access import Access
from cluster.errors import StateError
from cluster.hosted.environment import SECRETS
from cluster.status import ClusterStatus

if TYPE_CHECKING:
    from cluster.local.cluster import LocalCluster

Report = Callable[[str], None]


class Place(Protocol):
    """What a command can ask of a cluster wherever it is. Each raises ClusterError."""

    def access(self) -> Access:
        """What it takes to reach the servers."""

    def status(self) -> ClusterStatus:
        """How the servers are."""

    def stopped(self) -> str:
        """Why none of the servers runs ("does not run"); "" where some do, or it is not known."""

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


INSTEAD = {
    "up": "`prepare` and `bootstrap` make the cluster; start its servers with what runs them "
    "(docker compose up)",
    "down": "Stop them with what runs them (docker compose down)",
    "logs": "Read what they print with what runs them (docker compose logs NODE)",
}
"""What makes sense only for processes of this machine, and what to do elsewhere."""


def place(state: str) -> Place:
    """The cluster of the environment, or else of the state folder. Raises StateError."""
    if SECRETS in os.environ:
        from cluster.hosted.cluster import HostedCluster  # noqa: PLC0415 - not on this machine

        return HostedCluster()
    return _local(state)


def local_place(state: str, command: str) -> LocalCluster:
    """The cluster of the state folder, for a command that is about processes of this machine.

    Raises StateError where the environment says that the cluster is another one.
    """
    if SECRETS in os.environ:
        raise StateError(
            f"`{command}` is for processes of this machine, and {SECRETS} says that the cluster's "
            f"servers are containers or hosts. {INSTEAD[command]}."
        )
    return _local(state)


def _local(state: str) -> LocalCluster:
    if importlib.util.find_spec("cluster.local") is None:
        raise StateError(
            "this image has what looks after containers and hosts only: there are no processes "
            f"of a cluster here, and {SECRETS} does not name the secrets of another one."
        )
    from cluster.local.cluster import LocalCluster  # noqa: PLC0415 - takes 0.2 s

    return LocalCluster(Path(state))

"""The cluster that a command is about, and so who runs its servers.

With SHARDSTACK_SECRETS set, they are containers or hosts that listen under their own names
(`hosted`); otherwise processes of this machine, in a state folder (`local`).
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cluster.errors import StateError
from cluster.hosted.environment import SECRETS
from cluster.lifecycle.rotate_key import Keyed
from cluster.lifecycle.rotate_passwords import Peopled
from cluster.lifecycle.status import ClusterStatus
from console import Report

if TYPE_CHECKING:
    from cluster.local.cluster import LocalCluster


class Deployment(Keyed, Peopled, Protocol):
    """What a command can ask of a cluster, whoever runs its servers. Each raises ClusterError."""

    def status(self) -> ClusterStatus:
        """How the servers are."""

    def stopped(self) -> str:
        """Why none of the servers runs ("does not run"); "" where some do, or it is not known."""

    def add_shard(self, name: str | None, *, report: Report, phase: Report) -> str:
        """One more shard, the next one where no name is given; returns its name."""

    def remove_shard(self, name: str, *, report: Report) -> None:
        """Moves all data off a shard and takes it out of the cluster."""


INSTEAD = {
    "up": "`prepare` and `bootstrap` make the cluster; start its servers with what runs them "
    "(docker compose up)",
    "down": "Stop them with what runs them (docker compose down)",
    "drill": "Where docker compose runs them, break them from there: drill run NAME "
    "--target compose. Hosts: ansible/drill.yml",
    "logs": "Read what they print with what runs them (docker compose logs NODE)",
}
"""What makes sense only for processes of this machine, and what to do elsewhere."""


def deployment(state: str) -> Deployment:
    """The cluster of the environment, or else of the state folder. Raises StateError."""
    if SECRETS in os.environ:
        from cluster.hosted.cluster import HostedCluster  # noqa: PLC0415 - not on this machine

        return HostedCluster()
    return _local(state)


def local_deployment(state: str, command: str) -> LocalCluster:
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

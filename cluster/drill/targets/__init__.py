"""Who runs the servers that a drill breaks: a module each, of which `--target` names one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.drill.targets.target import Target


def _local(state: str) -> Target:
    from cluster.drill.targets.local import LocalTarget  # noqa: PLC0415 - takes 0.3 s
    from cluster.local.cluster import LocalCluster  # noqa: PLC0415

    return LocalTarget(LocalCluster(Path(state)), state)


def _compose(state: str) -> Target:
    from cluster.drill.targets.compose import ComposeTarget  # noqa: PLC0415

    return ComposeTarget(state)


def _hosts(state: str) -> Target:
    from cluster.drill.targets.hosts import HostsTarget  # noqa: PLC0415

    return HostsTarget(state)


MAKERS: dict[str, Callable[[str], Target]] = {
    "local": _local,
    "compose": _compose,
    "hosts": _hosts,
}
"""By the name of a target; each gets the folder in which commands of this machine keep theirs."""


def choose(kind: str, state: str) -> Target:
    """The target of a name. Whether there is a cluster is not asked (`Target.assert_there`)."""
    return MAKERS[kind](state)

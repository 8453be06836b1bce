"""Gives the users new passwords while the application goes on, which it does as another user.

    users.json                what it means
    admin, app                nothing is being changed
    admin (new), app, app-2   begun: the application may come as either, and is to take over app-2
    admin, app-2              ended

The file is written before the users are changed, so either half may be interrupted and run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cluster.model.secrets import make_passwords
from cluster.model.users import renewed, settled
from cluster.servers.connections import Access
from console import Report


class Peopled(Protocol):
    """What a change of passwords asks of a cluster; `cluster.deployment` has all one can ask."""

    def access(self) -> Access:
        """What it takes to reach the servers."""

    def write_passwords(self, passwords: Mapping[str, str]) -> None:
        """Writes the users' passwords, whole or not at all."""

    def make_whole(self, report: Report) -> None:
        """Makes users, connection strings and all else as they shall be."""


def begin(deployment: Peopled, report: Report) -> None:
    """New passwords for all, a successor for the application; goes on where it was interrupted.

    Raises ClusterError.
    """
    passwords = deployment.access().passwords
    if settled(passwords) == passwords:
        deployment.write_passwords(renewed(passwords, make_passwords()))
    deployment.make_whole(report)


def end(deployment: Peopled, report: Report) -> None:
    """Drops who the application was; safe to repeat. Raises ClusterError."""
    deployment.write_passwords(settled(deployment.access().passwords))
    deployment.make_whole(report)

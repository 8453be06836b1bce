"""Changes the key of the key file while the servers that know one another by it go on.

A server accepts every key of its file, logs in with the first, and tries the second where that is
refused. So two rounds of restarts do it, as MongoDB's manual has it:

    the file         what it means                         restarted servers accept
    old              nothing is being changed              old
    old, new         round 1: all learn the new key        old and new; log in with old
    new, new         round 2: all forget the old key       new; to others they log in with new
    new              done

In either round every server accepts the first key of the file, by which this program logs in: in
round 1 none has forgotten the old one, in round 2 all have learned the new one. One that has yet to
forget logs in to one that has with its second key. Naming the new key twice is a server's way of
knowing it alone, and ours to tell a round that was interrupted from one that is done.
Source: https://www.mongodb.com/docs/manual/tutorial/rotate-key-sharded-cluster/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cluster.lifecycle.rolling_restart import assert_well, rolling_restart
from cluster.model.secrets import make_key
from cluster.servers.connections import Access
from console import Report


class Keyed(Protocol):
    """What a change of the key asks of a cluster; `cluster.deployment` has all that one can ask."""

    def access(self) -> Access:
        """What it takes to reach the servers."""

    def restart(self, name: str) -> None:
        """Makes one server stop cleanly and come back; it need not serve yet.

        A primary hands over first, where another member can take over.
        """

    def keys(self) -> list[str]:
        """What the key file holds: the key to log in with, and a second while keys are changed."""

    def write_key(self, keys: Sequence[str]) -> None:
        """Writes the key file for all servers, whole or not at all; they read it at their start."""


def rotate_key(deployment: Keyed, report: Report) -> None:
    """Gives the servers a new key, or goes on where this was interrupted.

    Raises ClusterError: not all servers are well, or one does not come back.
    """
    keys = deployment.keys()
    if len(keys) == 1:
        assert_well(deployment.access())
        keys = [keys[0], make_key()]
        deployment.write_key(keys)
        report("key file: the old key and a new one")
    if keys[0] != keys[1]:
        _restart_all(deployment, report)
        keys = [keys[1], keys[1]]
        deployment.write_key(keys)
        report("every server accepts the new key; key file: the new key alone")
    _restart_all(deployment, report)
    deployment.write_key(keys[:1])
    report("every server has forgotten the old key")


def _restart_all(deployment: Keyed, report: Report) -> None:
    rolling_restart(deployment.access(), lambda node: deployment.restart(node.name), report)

"""Members keep what was, for as long as a long dump reads it.

How long they do is a parameter of each, `minSnapshotHistoryWindowInSeconds` (MongoDB's default:
300). A dump that takes longer raises it, a little ahead of its own age and again and again, so
that a dump that dies leaves little behind: members that keep some more history than they need.
Nobody waits for that. Whoever comes next, `up` or a dump, sees that it is raised no more, and puts
it back to what the member was started with.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from pymongo.errors import PyMongoError

from cluster.model.layout import Layout, Node
from cluster.servers.connections import Client, Connections
from cluster.servers.replica_set import look
from console import Report

PARAMETER = "minSnapshotHistoryWindowInSeconds"
DEFAULT = 300
AHEAD = 150  # seconds; what is kept reaches so far further back than it must
EVERY = 5.0  # seconds between two raises of a dump that lives


class KeptSnapshots:
    """Raises the window of every shard's members as a dump grows older.

    `look` is to be called all the while.
    """

    def __init__(self, connections: Connections, layout: Layout) -> None:
        self._members = [(connections, node) for shard in layout.shards for node in shard.members]
        self.began = time.monotonic()
        self._looked = self.began

    def look(self) -> None:
        """Raises it where it is short. A member that cannot be asked keeps what it keeps."""
        now = time.monotonic()
        if now - self._looked < EVERY:
            return
        self._looked = now
        needed = int(now - self.began) + AHEAD
        for connections, node in self._members:
            with contextlib.suppress(PyMongoError):
                client = connections.member(node)
                if _window(client) < needed:
                    _set(client, needed)


@contextlib.contextmanager
def keep_snapshots(
    connections: Connections, layout: Layout, report: Report
) -> Iterator[KeptSnapshots]:
    """While the block runs, members keep what was when it began; afterwards as long as before."""
    kept = KeptSnapshots(connections, layout)
    try:
        yield kept
    finally:
        put_back(connections, layout, report)


def put_back(connections: Connections, layout: Layout, report: Report) -> None:
    """Undoes what dumps have raised that no longer do; leaves alone what one still raises."""
    raised = {
        node: window
        for shard in layout.shards
        for node in shard.members
        if (window := _raised(connections, node))
    }
    if not raised:
        return
    time.sleep(2 * EVERY)
    for node, window in raised.items():
        if _raised(connections, node) == window:
            with contextlib.suppress(PyMongoError):
                client = connections.member(node)
                _set(client, _started_with(client))
                report(f"{node.name}: keeps history for {_started_with(client)} s again")


def _raised(connections: Connections, node: Node) -> int:
    """The window of a member that keeps more than it was started with, else 0."""
    if look(connections, node).state not in ("PRIMARY", "SECONDARY"):
        return 0
    try:
        client = connections.member(node)
        window = _window(client)
        return window if window > _started_with(client) else 0
    except PyMongoError:
        return 0


def _window(client: Client) -> int:
    return int(client.admin.command({"getParameter": 1, PARAMETER: 1})[PARAMETER])


def _set(client: Client, seconds: int) -> None:
    client.admin.command({"setParameter": 1, PARAMETER: seconds})


def _started_with(client: Client) -> int:
    started = client.admin.command("getCmdLineOpts")["parsed"].get("setParameter", {})
    return int(started.get(PARAMETER, DEFAULT))

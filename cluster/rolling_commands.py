"""`python -m cluster rolling-restart` and `rotate-key`."""

from __future__ import annotations

import click

from cluster.place import place
from cluster.terminal import Stopwatch, state_option


@click.command(epilog="Example: python -m cluster rolling-restart")
@state_option
def rolling_restart(state: str) -> None:
    """Restart every server, one at a time, while clients go on.

    Config servers, shards, routers; within a set the secondaries first, then the primary, which
    hands over before. It refuses to begin unless every server is well. It may be interrupted and
    run again. Clients must retry their calls, as drivers do by default.
    """
    from cluster.rolling import rolling_restart as work  # noqa: PLC0415 - takes 0.2 s

    watch = Stopwatch()
    where = place(state)
    work(where.access(), lambda node: where.restart(node.name), watch.change)
    watch.phase("every server has been restarted")


@click.command(epilog="Example: python -m cluster rotate-key")
@state_option
def rotate_key(state: str) -> None:
    """Change the key file's key, by which the servers know one another, while clients go on.

    All servers are restarted twice, as `rolling-restart` does. It may be interrupted and run
    again, and then goes on with the key that it has begun with. Afterwards the old key opens
    nothing.
    """
    from cluster.rotation import rotate_key as work  # noqa: PLC0415 - takes 0.2 s

    watch = Stopwatch()
    work(place(state), watch.change)
    watch.phase("the key has been changed")

"""`python -m cluster rolling-restart` and `rotate-key`."""

from __future__ import annotations

import sys

import click

from cluster.errors import StateError
from cluster.place import place
from console.terminal import Stopwatch, state_option


@click.command(epilog="Example: python -m cluster rolling-restart")
@state_option("the cluster")
@click.option(
    "--ask",
    is_flag=True,
    help="Have whoever runs the servers restart them: prints `restart NODE`, and waits for a line "
    "`done` on standard input. They may also be servers that are no part of the cluster yet.",
)
@click.argument("nodes", nargs=-1, metavar="[NODE]...")
def rolling_restart(state: str, ask: bool, nodes: tuple[str, ...]) -> None:
    """Restart every server, or those named, one at a time, while clients go on.

    Config servers, shards, routers; within a set the secondaries first, then the primary, which
    hands over before. It refuses to begin unless every server is well. It may be interrupted and
    run again. Clients must retry their calls, as drivers do by default.
    """
    from cluster.rolling import asked_restart  # noqa: PLC0415 - takes 0.2 s
    from cluster.rolling import rolling_restart as work  # noqa: PLC0415

    watch = Stopwatch(to_errors=ask)
    where = place(state)
    access = where.access()
    restart = asked_restart(click.echo, sys.stdin) if ask else where.restart
    there = [node.name for node in access.layout.nodes]
    others = [name for name in nodes if name not in there]
    if others and not ask:
        raise StateError(f"there is no node {others[0]!r}. There are: {', '.join(there)}.")
    work(access, lambda node: restart(node.name), watch.say, only=nodes or None)
    for name in others:  # that nobody depends on: they belong to no set
        restart(name)
    watch.phase(f"{', '.join(nodes) or 'every server'}: restarted")


@click.command(epilog="Example: python -m cluster rotate-key")
@state_option("the cluster")
def rotate_key(state: str) -> None:
    """Change the key file's key, by which the servers know one another, while clients go on.

    All servers are restarted twice, as `rolling-restart` does. It may be interrupted and run
    again, and then goes on with the key that it has begun with. Afterwards the old key opens
    nothing.
    """
    from cluster.rotation import rotate_key as work  # noqa: PLC0415 - takes 0.2 s

    watch = Stopwatch()
    work(place(state), watch.say)
    watch.phase("the key has been changed")

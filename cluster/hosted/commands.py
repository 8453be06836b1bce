"""`python -m cluster prepare` and `bootstrap`: what containers and hosts run, not people."""

from __future__ import annotations

import click

from console.terminal import Stopwatch


@click.command(epilog="Example: SHARDSTACK_SECRETS=/run/shardstack python -m cluster prepare")
def prepare() -> None:
    """Check the settings and make the secrets that are missing (containers and hosts).

    The topology comes from SHARDSTACK_SHARDS, SHARDSTACK_MEMBERS, …, as in cluster/default.toml.
    """
    from cluster.hosted.cluster import HostedCluster  # noqa: PLC0415

    HostedCluster().prepare(click.echo)


@click.command()
def bootstrap() -> None:
    """Make the servers a cluster, or make it whole again (containers and hosts).

    It may be run at any moment, and again after an interruption.
    """
    from cluster.hosted.cluster import HostedCluster  # noqa: PLC0415

    watch = Stopwatch()
    HostedCluster().bootstrap(watch.say, watch.phase)

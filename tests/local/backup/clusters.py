"""The small clusters of the backup's tests."""

from __future__ import annotations

from cluster.local.cluster import LocalCluster
from tests.local.cluster.small import client_of

TWO_SHARDS = {"shards": 2, "members": 1, "config_servers": 1, "routers": 2}


OWN = {"admin", "config", "local", "cluster"}


def empty(local: LocalCluster) -> None:
    """Drops every database that is not the servers' or the project's own; the balancer is on."""
    with client_of(local) as client:
        for name in set(client.list_database_names()) - OWN:
            client.drop_database(name)
        client["cluster"]["restores"].drop()
        client.admin.command("balancerStart")

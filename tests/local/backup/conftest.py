"""Two small clusters for the backup's tests: one to dump, one to restore into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from cluster.local.cluster import LocalCluster
from tests.local.cluster.small import client_of

TWO_SHARDS = {"shards": 2, "members": 1, "config_servers": 1, "routers": 2}
OWN = {"admin", "config", "local", "cluster"}


def _made(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[LocalCluster]:
    local = LocalCluster(tmp_path_factory.mktemp(name) / "state")
    try:
        local.up(**TWO_SHARDS)
        yield local
    finally:
        local.down(purge=True)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """The cluster that is dumped, 2 shards of 1."""
    yield from _made(tmp_path_factory, "source")


@pytest.fixture(scope="module")
def target_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """The cluster that is restored into."""
    yield from _made(tmp_path_factory, "target")


@pytest.fixture
def target(target_state: LocalCluster) -> LocalCluster:
    """The cluster that is restored into, with nothing in it."""
    empty(target_state)
    return target_state


@pytest.fixture
def client(source: LocalCluster) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client of the cluster that is dumped, with nothing in it."""
    empty(source)
    with client_of(source) as client:
        yield client


def empty(local: LocalCluster) -> None:
    """Drops every database that is not the servers' or the project's own; the balancer is on."""
    with client_of(local) as client:
        for name in set(client.list_database_names()) - OWN:
            client.drop_database(name)
        client["cluster"]["restores"].drop()
        client.admin.command("balancerStart")

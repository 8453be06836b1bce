"""Two small clusters for the backup's tests: one to dump, one to restore into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from cluster.local.cluster import LocalCluster
from tests.helpers.clusters import cluster_of
from tests.local.backup.clusters import TWO_SHARDS, empty
from tests.local.cluster.small import client_of


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """The cluster that is dumped, 2 shards of 1."""
    with cluster_of(tmp_path_factory.mktemp("source"), **TWO_SHARDS) as local:
        yield local


@pytest.fixture(scope="module")
def target_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """The cluster that is restored into."""
    with cluster_of(tmp_path_factory.mktemp("target"), **TWO_SHARDS) as local:
        yield local


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

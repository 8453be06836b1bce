"""Small clusters, of one member per set, for tests of the commands and of the healing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.local.cluster import LocalCluster
from tests.helpers.clusters import cluster_of
from tests.local.cluster.small import SMALL


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[LocalCluster]:
    """A folder in which nothing was made yet; whatever it comes to is stopped at the end."""
    local = LocalCluster(tmp_path / "state")
    yield local
    local.down(purge=True)


@pytest.fixture(scope="module")
def small_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One small cluster for all tests of a module."""
    with cluster_of(tmp_path_factory.mktemp("small"), **SMALL) as local:
        yield local


@pytest.fixture
def small(small_state: LocalCluster) -> LocalCluster:
    """The module's small cluster, whole again whatever the test before did to it."""
    small_state.up()
    return small_state

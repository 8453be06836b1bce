"""The one cluster that all tests of a run share, as large as `up` makes it by default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pymongo import MongoClient

from cluster.local.cluster import LocalCluster
from tests.helpers import reaper

HERE = Path(__file__).parent

# How fast examples are made and run says something of the machine, and nothing of the code.
settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any-machine")

OF_THEIR_OWN = {HERE / "bare", HERE / "browser", HERE / "compose", HERE / "hosts"}
"""Suites that want more than this machine's Python; `make test-NAME` runs each."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these folders out unless they are asked for by name."""
    if collection_path not in OF_THEIR_OWN:
        return None
    asked = [str(argument) for argument in config.invocation_params.args]
    return None if any(collection_path.name in argument for argument in asked) else True


def pytest_sessionstart(session: pytest.Session) -> None:
    """See that no server outlives this process, whatever ends it."""
    if not session.config.option.collectonly:
        reaper.watch()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """3 config servers, two shards of 3 and 2 routers, brought up once for the whole run.

    A test that stops, kills or pauses a node, or switches the balancer, asks for
    `healed_cluster` instead.
    """
    state: Path = tmp_path_factory.mktemp("shared-cluster") / "state"
    local = LocalCluster(state)
    try:
        local.up()
        yield local
        for node in local.nodes():  # what they hold is deleted: no stop in good order is needed
            if node.pid is not None:
                local.kill(node.name)
    finally:
        local.down(purge=True)


@pytest.fixture
def healed_cluster(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The shared cluster, for a test that breaks it; it is whole again for the next one."""
    yield cluster
    heal(cluster)


def heal(cluster: LocalCluster) -> None:
    """Every node runs and is in sync, every set has a primary, the balancer is on."""
    cluster.resume()
    cluster.up()
    client: MongoClient[dict[str, Any]]
    with MongoClient(cluster.uri("admin")) as client:
        if client.admin.command("balancerStatus")["mode"] != "full":
            client.admin.command("balancerStart")

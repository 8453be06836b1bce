"""Hosts for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts import artifacts
from tests.hosts.hosts import Artifacts, Hosts

SMALL = ["demo-1", "demo-2", "demo-3"]


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """What the hosts of all tests are given."""
    return artifacts.prepare(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def small(given: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Three fresh hosts, each a member of every set, a router and an API; the first is the edge."""
    with Hosts(tmp_path_factory.mktemp("hosts"), given) as hosts:
        for name in SMALL:
            hosts.add(name)
        everywhere = ("config", "shard_1", "shard_2", "routers", "api")
        hosts.groups = {
            **{group: list(SMALL) for group in everywhere},
            "edge": SMALL[:1],
            "monitoring": SMALL[:1],
        }
        hosts.write_inventory()
        yield hosts

"""Hosts for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts import artifacts
from tests.hosts.hosts import Artifacts, Hosts

SMALL = ["demo-1", "demo-2", "demo-3"]
EVERYWHERE = ("config", "shard_1", "shard_2", "routers", "api")


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """What the hosts of all tests are given."""
    return artifacts.prepare(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def small(given: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Three fresh hosts, each a member of every set, a router and an API; the first is the edge."""
    with Hosts(tmp_path_factory.mktemp("hosts"), given) as hosts:
        lay_out(hosts, SMALL)
        yield hosts


@pytest.fixture(scope="module")
def single(given: Artifacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """One fresh host with everything on it."""
    with Hosts(tmp_path_factory.mktemp("host"), given) as hosts:
        lay_out(hosts, SMALL[:1])
        yield hosts


def lay_out(hosts: Hosts, names: list[str]) -> None:
    """Fresh hosts of these names, each with a node of every kind; the first is the edge."""
    for name in names:
        hosts.add(name)
    groups = {group: list(names) for group in EVERYWHERE}
    hosts.groups = {**groups, "edge": names[:1], "monitoring": names[:1]}
    hosts.write_inventory()

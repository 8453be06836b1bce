"""The environment of a container, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import StateError, TopologyError
from cluster.hosted import environment
from cluster.hosted.environment import (
    read_topology,
    secrets_folder,
    uses_tls,
)
from cluster.model.topology import SETTINGS, Setting

GIB = 2**30


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_every_setting_of_the_topology_can_be_given(setting: Setting) -> None:
    found = read_topology({setting.variable: str(setting.default)})
    assert getattr(found, setting.name) == setting.default


def test_ports_are_not_for_the_environment() -> None:
    assert read_topology({"SHARDSTACK_PORTS": "80"}) == read_topology({})


def test_what_is_empty_or_absent_is_the_default() -> None:
    assert read_topology({"SHARDSTACK_SHARDS": ""}) == read_topology({})


def test_single_values() -> None:
    found = read_topology({"SHARDSTACK_SHARDS": "5", "SHARDSTACK_CACHE_GB": "1.5"})
    assert (found.shards, found.cache_gb) == (5, 1.5)


def test_sizes_may_be_left_to_the_memory() -> None:
    found = read_topology({"SHARDSTACK_CACHE_GB": "auto", "SHARDSTACK_CONNECTIONS": "300"})
    assert (found.cache_gb, found.connections) == ("auto", 300)


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "topology.toml"
    file.write_text("shards = 4\n")
    assert read_topology({"SHARDSTACK_TOPOLOGY": str(file)}).shards == 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"SHARDSTACK_SHARDS": "five"}, "SHARDSTACK_SHARDS is 'five', which is no number"),
        ({"SHARDSTACK_SHARDS": "0"}, "SHARDSTACK_SHARDS is 0. Give a whole number from 1 to 32"),
        ({"SHARDSTACK_MEMBERS": "2"}, "SHARDSTACK_MEMBERS is 2. Give 1, 3, 5 or 7"),
        (
            {"SHARDSTACK_CACHE_GB": "0.1"},
            'SHARDSTACK_CACHE_GB is 0.1. Give "auto", or GiB from 0.25',
        ),
        ({"SHARDSTACK_OPLOG_MB": "much"}, "SHARDSTACK_OPLOG_MB is 'much', which is no number"),
        ({"SHARDSTACK_DATABASE": "admin"}, "SHARDSTACK_DATABASE is 'admin'. Give a name of"),
        ({"SHARDSTACK_TOPOLOGY": "/nowhere.toml"}, "/nowhere.toml cannot be read"),
    ],
)
def test_mistakes_name_the_variable(given: dict[str, str], told: str) -> None:
    with pytest.raises(TopologyError) as caught:
        read_topology(given)
    [problem] = caught.value.lines
    assert problem.startswith(told)


def test_every_mistake_is_told() -> None:
    with pytest.raises(TopologyError) as caught:
        read_topology({"SHARDSTACK_SHARDS": "99", "SHARDSTACK_MEMBERS": "4"})
    assert len(caught.value.lines) == 2


def test_tls_is_on_or_off() -> None:
    assert not uses_tls({})
    assert uses_tls({"SHARDSTACK_CLUSTER_TLS": "on"})
    with pytest.raises(StateError, match="Give on or off"):
        uses_tls({"SHARDSTACK_CLUSTER_TLS": "yes"})


def test_the_folder_of_secrets_must_be_named() -> None:
    with pytest.raises(StateError, match="SHARDSTACK_SECRETS is not set"):
        secrets_folder({})


@pytest.mark.parametrize(
    ("environ", "total", "told"),
    [
        ({}, 4 * GIB, ""),
        ({}, 2 * GIB, "this machine has 2.0 GiB of memory, and 12 mongods with a cache of 0.25"),
        ({"SHARDSTACK_MEMBER_MEMORY": "1g"}, 4 * GIB, ""),
        ({"SHARDSTACK_MEMBER_MEMORY": "410M"}, 4 * GIB, "SHARDSTACK_MEMBER_MEMORY is 410M"),
        ({"SHARDSTACK_MEMBER_MEMORY": "416m"}, 4 * GIB, ""),
        ({"SHARDSTACK_MEMBER_MEMORY": "much"}, 4 * GIB, "Give a size such as 512m or 2g"),
    ],
)
def test_memory(environ: dict[str, str], total: int, told: str) -> None:
    topology = read_topology({"SHARDSTACK_SHARDS": "3"})
    problems = list(environment.complaints(topology, environ, total))
    assert len(problems) == bool(told)
    assert told in "".join(problems)

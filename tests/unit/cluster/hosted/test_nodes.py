"""Where nodes listen: the rule of containers, and the file of hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import NodeError, TopologyError
from cluster.hosted.cluster import HostedCluster
from cluster.hosted.environment import read_topology
from cluster.hosted.nodes import listening, node_of

NAMES = ["config-1", "shard-1-1", "shard-2-1", "router-1", "router-2"]


def listed(*names: str, **changes: dict[str, Any]) -> list[dict[str, Any]]:
    """Each node on a port of its own of one host; `changes` by name, with underscores."""
    return [
        {"name": name, "host": "db-1.internal.example.com", "port": 27000 + number}
        | changes.get(name.replace("-", "_"), {})
        for number, name in enumerate(names)
    ]


def environment(folder: Path, nodes: Any) -> dict[str, str]:
    file = folder / "nodes.json"
    file.write_text(json.dumps(nodes))
    return {"SHARDSTACK_NODES": str(file)}


def test_containers_listen_at_their_names_on_the_ports_of_mongodb() -> None:
    addresses = [node_of(name).address for name in ("router-1", "shard-1-2", "config-3")]
    assert addresses == ["router-1:27017", "shard-1-2:27018", "config-3:27019"]


def test_hosts_listen_where_the_file_says(tmp_path: Path) -> None:
    found = listening(environment(tmp_path, listed(*NAMES)))
    assert found("shard-2-1").address == "db-1.internal.example.com:27002"


def test_a_node_that_is_not_listed_is_told(tmp_path: Path) -> None:
    found = listening(environment(tmp_path, listed(*NAMES)))
    with pytest.raises(NodeError, match=r"has shard-3-1, and .*nodes.json does not tell where"):
        found("shard-3-1")


def test_the_topology_follows_from_what_is_listed(tmp_path: Path) -> None:
    found = read_topology(environment(tmp_path, listed(*NAMES)))
    assert (found.shards, found.members, found.config_servers, found.routers) == (2, 1, 1, 2)


def test_fewer_shards_may_be_asked_for_than_are_listed_and_not_more(tmp_path: Path) -> None:
    given = environment(tmp_path, listed(*NAMES))
    assert read_topology(given | {"SHARDSTACK_SHARDS": "1"}).shards == 1
    assert read_topology(given | {"SHARDSTACK_SHARDS": "9"}).shards == 2


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ({"config-1": 1}, "cannot be read: Expected `array`"),
        (listed(*NAMES, "mongos-1"), "'mongos-1' is no name of a node"),
        (listed(*NAMES, router_1={"port": 0}), "the port of router-1 is 0"),
        (listed(*NAMES, "router-2"), "router-2 is listed twice"),
        (listed(*NAMES, router_2={"port": 27003}), "router-1 and router-2 are both at db-1"),
        (listed(*NAMES, "router-4"), "the nodes of router are not numbered from 1 to 3"),
        (listed(*NAMES, "shard-2-2"), "the same number of members, and shard-1 has 1, shard-2"),
        (listed("shard-1-1", "router-1"), "there is no config-1."),
        (listed("config-1", "router-1"), "there is no shard-1-1."),
    ],
)
def test_mistakes_name_the_file(tmp_path: Path, nodes: Any, told: str) -> None:
    with pytest.raises(TopologyError) as caught:
        read_topology(environment(tmp_path, nodes))
    [problem] = caught.value.lines
    assert problem.startswith("SHARDSTACK_NODES: ")
    assert told in problem


def test_an_even_number_of_members_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(TopologyError) as caught:
        read_topology(environment(tmp_path, listed(*NAMES, "config-2")))
    assert caught.value.lines[0].startswith("SHARDSTACK_NODES: config_servers is 2. Give 1, 3, 5")


def test_hosts_get_a_certificate_that_outlasts_a_new_host(tmp_path: Path) -> None:
    """Else each host that is added wants a new certificate, and a restart, of all others."""
    made = {"SHARDSTACK_SECRETS": str(tmp_path / "s"), "SHARDSTACK_CLUSTER_TLS": "on"}
    HostedCluster(made | environment(tmp_path, listed(*NAMES))).prepare(lambda _: None)
    before = (tmp_path / "s/key/server.pem").read_bytes()
    more = listed(*NAMES, "router-3", router_3={"host": "db-9.internal.example.com"})
    said: list[str] = []
    HostedCluster(made | environment(tmp_path, more)).prepare(said.append)
    assert said == []
    assert (tmp_path / "s/key/server.pem").read_bytes() == before


def test_each_host_has_a_mongod_conf_of_its_own(tmp_path: Path) -> None:
    """What the control machine's memory is does not matter."""
    made = {"SHARDSTACK_SECRETS": str(tmp_path / "s")} | environment(tmp_path, listed(*NAMES))
    HostedCluster(made).prepare(lambda _: None)
    assert not (tmp_path / "s/key/mongod.conf").exists()
    text = HostedCluster(made | {"SHARDSTACK_MEMBER_MEMORY": "9g"}).mongod_conf()
    assert json.loads(text.partition("\n")[2])["storage"]["wiredTiger"]["engineConfig"] == {
        "cacheSizeGB": 4.0
    }

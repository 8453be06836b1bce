"""What one does with a stack that serves, each while consumers write through HTTPS."""

from __future__ import annotations

import json
import re

import pytest

from tests.helpers.people import consuming, sign_up, signs_in
from tests.hosts.conftest import SMALL
from tests.hosts.hosts import Artifacts, Hosts

pytestmark = pytest.mark.timeout(1800)
MORE = ["demo-4", "demo-5", "demo-6"]
FEW = 2  # consumers: playbooks and three hosts share this machine with them
STARTED = "systemctl show --property=ExecMainStartTimestampMonotonic --value"


@pytest.fixture(scope="module")
def stack(small: Hosts) -> Hosts:
    """A stack of three hosts that serves."""
    small.play("site")
    return small


def starts(stack: Hosts, *units: str) -> dict[str, str]:
    """When the servers of all hosts were started, by host and unit."""
    return {
        f"{host} {unit}": stack.shell(host, f"{STARTED} '{unit}'").strip()
        for host in SMALL
        for unit in units
    }


MONGODS = ("mongod@config-*", "mongod@shard-1-*", "mongod@shard-2-*")


def test_all_servers_restart_one_at_a_time(stack: Hosts) -> None:
    before = starts(stack, *MONGODS, "mongos")
    with consuming(stack, stack.ca(), FEW):
        stack.play("rolling-restart")
    after = starts(stack, *MONGODS, "mongos")
    assert not {name for name in before if before[name] == after[name]}


def test_a_setting_of_the_servers_is_taken_over_one_at_a_time(stack: Hosts) -> None:
    """site.yml itself restarts what has changed, and only that."""
    members, routers = starts(stack, *MONGODS), starts(stack, "mongos")
    stack.variables["mongod_memory_mb"] = 2048
    stack.write_inventory()
    with consuming(stack, stack.ca(), FEW):
        stack.play("site")
    assert '"cacheSizeGB": 0.5' in stack.shell("demo-2", "cat /etc/shardstack/key/mongod.conf")
    after = starts(stack, *MONGODS)
    assert not {name for name in members if members[name] == after[name]}
    assert starts(stack, "mongos") == routers


def test_a_release_of_the_api_is_taken_over_without_a_failed_request(stack: Hosts) -> None:
    unit = "shardstack-api.service"
    before = starts(stack, unit)
    stack.variables["api_settings"] = {"SHARDSTACK_PAGE_SIZE": "7"}
    stack.write_inventory()
    with consuming(stack, stack.ca(), FEW):
        stack.play("site")
    after = starts(stack, unit)
    assert not {name for name in before if before[name] == after[name]}


def test_a_shard_and_an_api_node_are_added_while_consumers_write(stack: Hosts) -> None:
    """And the shard removed. The edge takes the new node in without closing a connection."""
    for name in MORE:
        stack.add(name)
    stack.groups["shard_3"] = list(MORE)
    stack.groups["api"].append(MORE[0])
    stack.write_inventory()
    edge = starts(stack, "shardstack-edge")
    with consuming(stack, stack.ca(), FEW):
        played = stack.play("scale", "-e", f"new={','.join(MORE)}")
        touched = {host for host, count in played.counts.items() if count["ok"]}
        assert touched == {*MORE, "demo-1"}, "others get no task"
        assert starts(stack, "shardstack-edge") == edge
        assert MORE[0] in stack.shell("demo-1", "cat /etc/shardstack/edge/caddy.env")
        shards = json.loads(stack.shell("demo-1", "shardstack status --json"))["shards"]
        assert [shard["name"] for shard in shards] == ["shard-1", "shard-2", "shard-3"]
        stack.play("remove-shard", "-e", "shard=shard-3")
    del stack.groups["shard_3"]
    stack.groups["api"].remove(MORE[0])
    stack.write_inventory()
    stack.play("site")
    assert set(stack.play("site").changed().values()) == {0}


def test_an_upgrade_replaces_the_programs_one_server_at_a_time(
    stack: Hosts, given: Artifacts
) -> None:
    """The same programs under another number: no other is to be had here."""
    newer = f"{given.mongodb_version[:-1]}{int(given.mongodb_version[-1]) + 1}"
    before = starts(stack, *MONGODS, "mongos")
    with consuming(stack, stack.ca(), FEW):
        stack.play("upgrade", "-e", f"mongodb_packages_version={newer}")
    after = starts(stack, *MONGODS, "mongos")
    assert not {name for name in before if before[name] == after[name]}
    current = stack.shell("demo-3", "readlink /opt/mongodb/current")
    assert current.strip() == f"/opt/mongodb/{newer}"
    stack.variables["mongodb_packages_version"] = newer
    stack.write_inventory()


def test_an_inventory_without_a_shard_of_the_cluster_is_refused(stack: Hosts) -> None:
    members = stack.groups.pop("shard_2")
    stack.write_inventory()
    played = stack.attempt("preflight")
    stack.groups["shard_2"] = members
    stack.write_inventory()
    assert "The cluster has shard-2, and the inventory has no such group" in played.output


def test_an_upgrade_that_skips_a_version_is_refused(stack: Hosts) -> None:
    played = stack.attempt("upgrade", "-e", "mongodb_packages_version=8.0.16")
    assert re.search(r"runs 6\.0\.\d, and 8\.0\.16 skips a major version", played.output)
    assert set(played.changed().values()) == {0}


def test_a_lost_host_is_replaced_by_a_fresh_one_of_its_name(stack: Hosts) -> None:
    stack.stop("demo-2")
    with consuming(stack, stack.ca(), FEW):
        stack.add("demo-2")
        stack.write_inventory()
        played = stack.play("recover", "-e", "lost=demo-2")
    touched = {host for host, count in played.counts.items() if count["changed"]}
    assert touched <= {"demo-1", "demo-2"}
    assert_well(stack)


def test_the_operators_host_and_edge_is_replaced(stack: Hosts) -> None:
    person = sign_up(stack, stack.ca())
    stack.stop("demo-1")
    stack.add("demo-1")
    stack.write_inventory()
    stack.play("recover", "-e", "lost=demo-1")
    assert signs_in(stack, stack.ca(), person)
    assert_well(stack)


def test_a_lost_majority_is_forced_only_when_that_is_said(stack: Hosts) -> None:
    person = sign_up(stack, stack.ca())
    for name in SMALL[1:]:
        stack.stop(name)
        stack.add(name)
    stack.write_inventory()
    lost = ("recover", "-e", "lost=demo-2,demo-3")
    refused = stack.attempt("site")
    said = " ".join(refused.output.split())
    assert "cfg has lost 2 of 3 members" in said
    assert "recover.yml -e lost=demo-2,demo-3 -e force=cfg,shard-1,shard-2" in said
    refused = stack.attempt(*lost)
    said = " ".join(refused.output.split())
    assert "cfg has lost 2 of 3 members: config-2 (not listening), config-3 (not listening)" in said
    assert "What is left is what shard-2-1 had at" in said
    assert "name the sets: -e force=shard-1,cfg" in said
    stack.play(*lost, "-e", "force=cfg,shard-1,shard-2")
    assert signs_in(stack, stack.ca(), person)
    assert_well(stack)
    assert set(stack.play("site").changed().values()) == {0}


def assert_well(stack: Hosts) -> None:
    """Every server is there, and every member has its vote."""
    status = json.loads(stack.shell("demo-1", "shardstack status --json"))
    assert status["healthy"], status["problems"]
    stack.shell("demo-1", "shardstack check")

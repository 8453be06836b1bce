"""What `check` says of a cluster of processes, which is not one for production."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from pymongo import MongoClient

from cluster.lifecycle.check import STATEMENTS, check
from cluster.local.cluster import LocalCluster

OF_A_LAPTOP = {1, 3, 11}
"""Members share a machine, are known by its address, and speak without TLS."""


def faults(cluster: LocalCluster) -> dict[int, list[str]]:
    return {one.statement: one.faults for one in check(cluster.access()) if one.faults}


def test_a_laptop_falls_short_in_what_a_laptop_cannot_have(cluster: LocalCluster) -> None:
    found = faults(cluster)
    assert set(found) == OF_A_LAPTOP
    assert "cfg has several members on 127.0.0.1, which would be lost together" in found[1]
    assert "shard-1 knows a member by the address 127.0.0.1, which may change: name it" in found[3]


def test_what_was_changed_by_hand_is_told(healed_cluster: LocalCluster) -> None:
    client: MongoClient[dict[str, Any]]
    with MongoClient(healed_cluster.uri("admin")) as client:
        client.admin.command("balancerStop")
        client.admin.command("dropUser", "backup")
        client.admin.command("setDefaultRWConcern", defaultWriteConcern={"w": 1})
    found = faults(healed_cluster)
    assert found[13] == ["there is no user backup"]
    assert found[14] == ["writes are acknowledged by 1, so that a failover may lose them"]
    assert found[15] == ["the balancer is off: data stay where they are, however uneven"]


@pytest.mark.long
@pytest.mark.core
def test_a_member_that_is_down_is_told_and_nothing_else_is_hidden(
    healed_cluster: LocalCluster,
) -> None:
    for node in ("shard-2-1", "router-1"):  # of their kinds the first, which most is asked of
        healed_cluster.kill(node)
    found = faults(healed_cluster)
    assert found.keys() == {2, *OF_A_LAPTOP, 8, 9, 16}
    shard, router = healed_cluster.node("shard-2-1"), healed_cluster.node("router-1")
    member = f"shard-2-1 ({shard.host}:{shard.port}) does not answer"
    assert found[8] == found[16] == [member]
    assert set(found[9]) == {member, f"router-1 ({router.host}:{router.port}) does not answer"}


def test_scripts_get_json_and_a_status(cluster: LocalCluster) -> None:
    command = [sys.executable, "-m", "cluster", "check", "--json"]
    command += ["--state", str(cluster.state.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    left_out = [flag for number in OF_A_LAPTOP for flag in ("--except", str(number))]
    assert subprocess.run([*command, *left_out], capture_output=True, check=False).returncode == 0
    assert [one["statement"] for one in told] == [number for number, _, _ in STATEMENTS]

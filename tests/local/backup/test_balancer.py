"""The balancer is off during maintenance and afterwards as it was, also after SIGKILL."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pymongo import MongoClient

from cluster.errors import ClusterError
from cluster.local.cluster import LocalCluster
from cluster.servers import balancer
from cluster.servers.balancer import balancer_off, put_back

pytestmark = [pytest.mark.long, pytest.mark.core]

Client = MongoClient[dict[str, Any]]

HOLDER = """
import sys, time
from pymongo import MongoClient
from cluster.servers.balancer import balancer_off

with MongoClient(sys.stdin.readline().strip()) as client:
    with balancer_off(client, lambda _: None, "a test"):
        print("held", flush=True)
        sys.stdin.readline()
"""


def mode(client: Client) -> str:
    return str(client.admin.command("balancerStatus")["mode"])


def hold(source: LocalCluster) -> subprocess.Popen[str]:
    """Another process that holds the balancer off."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(source.uri("admin") + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "held\n"
    return process


def finish(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize("before", ["full", "off"])
def test_it_is_put_back_as_it_was(client: Client, before: str) -> None:
    if before == "off":
        client.admin.command("balancerStop")
    lines: list[str] = []
    with balancer_off(client, lines.append):
        assert mode(client) == "off"
    assert mode(client) == before
    assert client["cluster"]["holds"].count_documents({}) == 0
    assert lines == (
        ["balancer: off for the time being", "balancer: on again"] if before == "full" else []
    )


def test_it_is_put_back_when_the_work_fails(client: Client) -> None:
    with pytest.raises(RuntimeError), balancer_off(client, lambda _: None):
        raise RuntimeError
    assert mode(client) == "full"


@pytest.mark.parametrize("before", ["full", "off"])
def test_after_sigkill_the_next_one_knows(
    source: LocalCluster, client: Client, before: str
) -> None:
    if before == "off":
        client.admin.command("balancerStop")
    process = hold(source)
    process.kill()
    process.communicate()
    assert mode(client) == "off"
    lines: list[str] = []
    with balancer_off(client, lines.append):
        assert mode(client) == "off"
    assert any("a test died" in line for line in lines)
    assert mode(client) == before
    assert client["cluster"]["holds"].count_documents({}) == 0


def test_what_a_dead_one_left_can_be_put_back(source: LocalCluster, client: Client) -> None:
    process = hold(source)
    process.kill()
    process.communicate()
    assert put_back(client, lambda _: None)
    assert mode(client) == "full"
    assert not put_back(client, lambda _: None)


def test_one_at_a_time(source: LocalCluster, client: Client) -> None:
    process = hold(source)
    with (
        pytest.raises(ClusterError, match=f"a test .process {process.pid}. has the balancer"),
        balancer_off(client, lambda _: None),
    ):
        pass
    assert mode(client) == "off"
    finish(process)
    assert mode(client) == "full"


def test_a_holder_elsewhere_is_known_by_its_beat(
    source: LocalCluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancer, "DEAD_SECONDS", 5.0)
    process = hold(source)
    holds = client["cluster"]["holds"]
    holds.update_one({"_id": "balancer"}, {"$set": {"place": "another machine"}})
    with pytest.raises(ClusterError, match="a test"), balancer_off(client, lambda _: None):
        pass
    process.kill()
    process.communicate()
    with balancer_off(client, lambda _: None):
        pass
    assert mode(client) == "full"

"""Restarting every server, one at a time, while clients write and read."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest

from cluster.errors import ClusterError
from cluster.hosted.cluster import shutdown_restart
from cluster.lifecycle.rolling_restart import rolling_restart
from cluster.local.cluster import LocalCluster
from cluster.model.layout import Node
from cluster.servers.connections import listens
from cluster.servers.waiting import Waiter
from tests.helpers.clusters import cluster_of
from tests.local.cluster.load import under_load
from tests.local.cluster.small import client_of, command, error_of, run, running_pids

pytestmark = pytest.mark.long

SHAPE = {"shards": 1, "members": 3, "config_servers": 1, "routers": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster_of(tmp_path_factory.mktemp("rolling"), **SHAPE) as local:
        yield local


@pytest.fixture
def rolled(made: LocalCluster) -> LocalCluster:
    """A cluster with one shard of three members, whole again whatever the test before did."""
    made.up()
    return made


def balancer(local: LocalCluster) -> str:
    with client_of(local) as client:
        return str(client.admin.command("balancerStatus")["mode"])


@pytest.mark.core
@pytest.mark.timeout(240)
def test_no_call_fails_while_every_server_is_restarted(rolled: LocalCluster) -> None:
    before, first = running_pids(rolled), rolled.primary("shard-1").name
    restarted: list[str] = []

    def restart(node: Node) -> None:
        restarted.append(node.name)
        if node.name.startswith("shard-"):
            assert rolled.primary("shard-1").name != node.name
        rolled.restart(node.name)

    with under_load(rolled) as load:
        rolling_restart(rolled.access(), restart, load.mark)
    assert load.report.errors == {}
    assert load.report.violations == []
    after = running_pids(rolled)
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    members = [name for name in restarted if name.startswith("shard-")]
    assert (restarted[0], members[-1]) == ("config-1", first)
    assert restarted[-2:] == ["router-1", "router-2"]
    assert balancer(rolled) == "full"


def test_it_does_not_begin_unless_everybody_is_well(rolled: LocalCluster) -> None:
    secondary = next(
        node.name
        for node in rolled.nodes()
        if node.set_name == "shard-1" and node.name != rolled.primary("shard-1").name
    )
    rolled.kill(secondary)
    rolled.kill("router-2")
    with pytest.raises(ClusterError) as refused:
        rolling_restart(rolled.access(), lambda _: pytest.fail("restarted"), print, patience=0)
    (line,) = str(refused.value).splitlines()
    assert f"{secondary} is not listening" in line
    assert "router-2 does not answer" in line
    assert "shard-1 has no primary" not in line


@pytest.mark.timeout(240)
def test_interrupted_and_repeated(rolled: LocalCluster) -> None:
    """By a signal it puts the balancer back; killed, the next one does."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        work = subprocess.Popen(
            command(rolled, "rolling-restart"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert work.stdout is not None
        for line in work.stdout:
            if "shard-1-" in line:
                break
        assert balancer(rolled) == "off"
        work.send_signal(number)
        _, errors = work.communicate(timeout=60)
        assert work.returncode != 0
        if number == signal.SIGTERM:
            assert errors.splitlines() == [
                "error: interrupted. Run the same command again to go on."
            ]
            assert balancer(rolled) == "full"
    before = running_pids(rolled)
    if len(before) < len(rolled.nodes()):  # killed between stopping a server and starting it
        assert "whole first" in error_of(run(rolled, "rolling-restart"))
        rolled.up()
    done = subprocess.run(
        command(rolled, "rolling-restart"), check=False, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    assert "going on from it" in done.stdout
    assert not set(before.values()) & set(running_pids(rolled).values())
    assert balancer(rolled) == "full"


def asking(local: LocalCluster, *names: str) -> subprocess.Popen[str]:
    """`rolling-restart --ask`, to be answered."""
    return subprocess.Popen(
        command(local, "rolling-restart", "--ask", *names),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_only_those_named_by_whoever_runs_them(rolled: LocalCluster) -> None:
    """Such as containers, which are replaced; among them what is no part of the cluster."""
    before, primary = running_pids(rolled), rolled.primary("shard-1").name
    asked = []
    with asking(rolled, "public-router-1", "router-2", primary) as work:
        assert work.stdout is not None
        assert work.stdin is not None
        for line in work.stdout:
            word, name = line.split()
            assert word == "restart"
            asked.append(name)
            if name in before:
                assert rolled.primary("shard-1").name != name
                rolled.restart(name)
            print("done", file=work.stdin, flush=True)
    assert work.returncode == 0
    assert asked == [primary, "router-2", "public-router-1"]
    after = running_pids(rolled)
    assert {name for name in before if before[name] != after[name]} == {primary, "router-2"}


@pytest.mark.parametrize("answer", ["", "failed\n"])
def test_nobody_restarts_what_was_asked_for(rolled: LocalCluster, answer: str) -> None:
    with asking(rolled, "router-2") as work:
        assert work.stdout is not None
        assert work.stdout.readline() == "restart router-2\n"
        assert balancer(rolled) == "off"
        _, errors = work.communicate(answer, timeout=60)
    assert work.returncode == 1
    reason = answer.strip() or "nobody answered"
    assert f"error: router-2 was not restarted: {reason}." in errors
    assert balancer(rolled) == "full"


def test_a_name_that_nobody_has(rolled: LocalCluster) -> None:
    assert "there is no node 'shard-9-1'" in error_of(run(rolled, "rolling-restart", "shard-9-1"))


@pytest.fixture
def supervised(rolled: LocalCluster) -> Iterator[LocalCluster]:
    """A cluster whose servers are started again by somebody as soon as they end."""
    off = threading.Event()

    def supervise() -> None:
        while not off.wait(0.2):
            for node in rolled.nodes():
                if node.pid is None:
                    rolled.start(node.name)

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    yield rolled
    off.set()
    supervisor.join(60)


def test_servers_that_somebody_else_starts_again(supervised: LocalCluster) -> None:
    access = supervised.access()
    restart = shutdown_restart(access, seconds=60)
    primary = supervised.primary("shard-1").name
    secondary = next(n for n in access.layout.shards[0].members if n.name != primary)
    for node in (access.layout.config.members[0], secondary, access.layout.routers[0]):
        before = running_pids(supervised)[node.name]
        restart(node)
        assert running_pids(supervised)[node.name] != before
        Waiter(30).until(lambda node=node: listens(node) or None, lambda: "it is not back")


def test_a_server_that_nobody_starts_again(rolled: LocalCluster) -> None:
    router = rolled.access().layout.routers[1]
    with pytest.raises(ClusterError, match=r"router-2 .* is not back .* supervises"):
        shutdown_restart(rolled.access(), seconds=2)(router)

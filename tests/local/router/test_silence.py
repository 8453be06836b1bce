"""Members that say nothing: standing still, cut off, not to be found. No call may wait for them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.local.cluster import LocalCluster
from cluster.model.layout import Node
from cluster.router.connections import Connector
from cluster.router.errors import HostError
from cluster.servers.connections import listens
from cluster.servers.waiting import Waiter
from tests.helpers.routers import connect

IP = shutil.which("ip") or "/sbin/ip"
GENEROUS = 60.0
"""Seconds after which what has not come never will, on however slow a machine."""


@pytest.fixture
def swallowing() -> Iterator[int]:
    """A port of which the system drops every attempt to connect."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(4):
            attempt = socket.socket()
            attempt.setblocking(False)
            attempt.connect_ex(("127.0.0.1", port))
            waiting.append(attempt)
        yield port
        for attempt in waiting:
            attempt.close()


def test_connecting_to_a_silent_address_is_given_up(swallowing: int) -> None:
    with pytest.raises(HostError, match="no answer in time"):  # the system goes on for two minutes
        asyncio.run(Connector([]).open(f"127.0.0.1:{swallowing}"))


def test_a_router_starts_while_some_config_servers_cannot_be_found(
    cluster: LocalCluster, swallowing: int
) -> None:
    real = cluster.primary("cfg")
    seeds = f"cfg/127.0.0.1:{swallowing},no-such-host.invalid:27019,{real.host}:{real.port}"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    key = str(cluster.state.key_file)
    flags = ["--configdb", seeds, "--keyFile", key, "--port", str(port)]
    router = subprocess.Popen([sys.executable, "-m", "cluster.router", *flags])
    try:
        node = Node("router", "127.0.0.1", port)
        Waiter(GENEROUS).until(lambda: listens(node) or None, lambda: "it does not listen")
        with connect(cluster, port) as client:
            assert client.admin.command("listDatabases")["ok"] == 1
    finally:
        router.terminate()
        assert router.wait(60) == 0


def test_log_ins_while_the_config_primary_stands_still(healed_cluster: LocalCluster) -> None:
    """The router asks it for the user; what it knows already, or the successor's answer, does."""
    ports = [node.port for node in healed_cluster.nodes() if node.kind == "router"]

    def log_in(number: int) -> bool:
        with connect(healed_cluster, ports[number % 2]) as client:
            return bool(client.drill.command("find", "nothing")["ok"])

    healed_cluster.kill(healed_cluster.primary("cfg").name, signal.SIGSTOP)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(log_in, range(24)))


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network of the test's own; skipped where one may not be made."""
    name = f"shardstack-{os.getpid()}"
    try:
        subprocess.run([IP, "netns", "add", name], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("network namespaces cannot be made here (needs root, ip and iptables)")
    inside = [IP, "netns", "exec", name]
    try:
        subprocess.run([*inside, IP, "link", "set", "lo", "up"], check=True)
        if subprocess.run([*inside, "iptables", "-L"], check=False, capture_output=True).returncode:
            pytest.skip("iptables does not work here")
        yield name
    finally:
        subprocess.run([IP, "netns", "del", name], check=True)


@pytest.mark.long
@pytest.mark.core
def test_a_primary_that_is_cut_off(namespace: str, tmp_path: Path) -> None:
    """Writes go on with the next primary, though the old one's connections are never reset."""
    inside = [IP, "netns", "exec", namespace, sys.executable, "-m", "tests.local.router.cut"]
    done = subprocess.run(
        [*inside, str(tmp_path / "state")], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["violations"] == []
    assert found["errors"] == {}

"""Replicas of the API fail or restart behind Caddy while 32 consumers create, read, change, delete.

A failure is latency to them: no answer of 500 or above, nothing lost, nothing doubled.
"""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable

import pytest
import requests

from cluster.drill.judge.summary import summarise
from cluster.drill.load.http import ApiStore
from cluster.drill.load.workload import Load, Workload
from cluster.local.cluster import LocalCluster
from tests.helpers.api import make_person
from tests.helpers.caddy import Caddy, Replica
from tests.helpers.drills import SHARDS
from tests.local.drill.test_api_failover import assert_only_latency, one_account_per_shard

pytestmark = pytest.mark.long

CLIENTS = 32
CALM = 50
"""Acknowledged writes on each shard before the fault, and again after all is over."""
GIVEN_UP = 14.0
"""Seconds in which every request has been given up that the silent replica had."""

Fault = Callable[[Replica, Workload], None]


def killed(replica: Replica, workload: Workload) -> None:
    replica.send(signal.SIGKILL)
    workload.run(3)


def stands_still(replica: Replica, workload: Workload) -> None:
    """And goes on then, with the requests it had."""
    replica.send(signal.SIGSTOP)
    try:
        workload.run(8)
    finally:
        replica.send(signal.SIGCONT)


def cut_off(replica: Replica, workload: Workload) -> None:
    with replica.cut():
        workload.run(GIVEN_UP)


def restarted(replicas: list[Replica], workload: Workload) -> None:
    """One after the other: each ends with what it has accepted, and another begins."""
    for replica in replicas:
        replica.end()
        workload.run(1)  # on the other one alone
        replica.start()
        workload.run(1.5)  # Caddy has seen that it is back


def renewed(replicas: list[Replica], workload: Workload) -> None:
    """SIGHUP: all workers of both."""
    for replica in replicas:
        before = replica.workers()
        replica.server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while before & replica.workers():
            assert time.monotonic() < end
            workload.run(0.1)


@pytest.mark.core
@pytest.mark.timeout(300)
@pytest.mark.parametrize("change", [restarted, renewed])
def test_a_rolling_restart(
    cluster: LocalCluster,
    caddy: Caddy,
    replicas: list[Replica],
    change: Callable[[list[Replica], Workload], None],
) -> None:
    """Not even a request that may not be sent again is lost."""
    statuses: collections.Counter[int] = collections.Counter()
    over = threading.Event()

    def create() -> None:
        with requests.Session() as session:
            session.verify, session.trust_env = str(caddy.ca), False
            while not over.is_set():
                answer = session.post(
                    f"{caddy.url}/api/v1/auth/signup", json=make_person(), timeout=60
                )
                statuses[answer.status_code] += 1

    thread = threading.Thread(target=create)
    thread.start()
    try:
        run(cluster, caddy, replicas, change.__name__, lambda load: change(replicas, load))
    finally:
        over.set()
        thread.join()
    assert set(statuses) == {201}


def can_cut() -> bool:
    """Whether we may change the packet filter."""
    return os.geteuid() == 0 and shutil.which("iptables") is not None


FAULTS = [
    killed,
    stands_still,
    pytest.param(cut_off, marks=pytest.mark.skipif(not can_cut(), reason="needs root, iptables")),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_replica_fails(
    cluster: LocalCluster, caddy: Caddy, replicas: list[Replica], fault: Fault
) -> None:
    def fail(workload: Workload) -> None:
        fault(replicas[1], workload)
        replicas[1].start()

    run(cluster, caddy, replicas, fault.__name__, fail)


def test_a_router_stands_still(
    healed_cluster: LocalCluster, caddy: Caddy, replicas: list[Replica]
) -> None:
    """Every replica stays in service: none of them needs this router."""

    def fail(workload: Workload) -> None:
        healed_cluster.kill("router-1", signal.SIGSTOP)
        workload.run(8)
        healed_cluster.resume()

    run(healed_cluster, caddy, replicas, "router stands still", fail)
    text = caddy.log.read_text()
    assert "no upstreams available" not in text
    assert '"status_code":503' not in text  # an unready replica, as the health checks log it


def run(
    cluster: LocalCluster,
    caddy: Caddy,
    replicas: list[Replica],
    name: str,
    fail: Callable[[Workload], None],
) -> None:
    """Let the load run through Caddy and something fail, and watch; the writes must go on."""
    accounts = one_account_per_shard(cluster, replicas[0].server)
    store = ApiStore(caddy.url, accounts, caddy.ca)
    with (
        contextlib.closing(store),
        Workload(store, Load(clients=CLIENTS, keys=CLIENTS)) as workload,
    ):
        for group in SHARDS:
            workload.wait_for_writes(CALM, group, 40)
        workload.mark(name)
        fail(workload)
        for group in SHARDS:
            workload.wait_for_writes(CALM, group, 40)
        report = summarise(workload.finish())
    slowest = sorted(store.exchanges, key=lambda exchange: -exchange.took)[:5]
    print(f"\n{report.text()}")  # noqa: T201 - the figures, shown by -s and on failure
    for one in slowest:
        print(f"  {one.took:.3f} s {one.method} {one.path}: {one.status}")  # noqa: T201
    assert_only_latency(report, store)

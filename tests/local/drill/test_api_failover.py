"""The API through failures of the cluster: 32 consumers create, read and update meanwhile.

A failure is latency to them: no answer of 500 or above, nothing lost, nothing doubled.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from bson import ObjectId
from pymongo import MongoClient

from cluster.drill.history import History
from cluster.drill.judge.summary import Report, summarise
from cluster.drill.load.http import ApiStore
from cluster.drill.load.workload import Load, Workload
from cluster.local.cluster import LocalCluster
from tests.helpers.api import PASSWORD, RunningServer, apply_schema, environment_of, running
from tests.helpers.drills import GOES_ON, SHARDS, held_up, step_down

pytestmark = pytest.mark.long

DATABASE = "shardstack"
CLIENTS = 32
CALM = 50
"""Acknowledged writes on each shard before the fault, and again after all is over."""
TOKEN_LIFETIME = 4.0
"""Short, so that consumers refresh their tokens while the cluster fails."""
STILL = 8.0
"""Seconds that a server stands still: longer than it takes to notice, shorter than a deadline."""


@dataclass
class ApiDrill:
    """A server before the shared cluster, and an account whose projects are on each shard."""

    cluster: LocalCluster
    server: RunningServer
    accounts: dict[str, tuple[str, str]]
    history: History = field(default_factory=History)

    def run(self, fault: str, node: str | None = None) -> tuple[Report, ApiStore]:
        """Let the load run, break something, and see that the writes go on on both shards.

        What stands still does so until they do, and for `STILL` seconds at least. What the fault
        cost is printed. It depends on the machine, so no test asserts it.
        """
        store = ApiStore(self.server.url, self.accounts)
        with (
            contextlib.closing(store),
            Workload(store, Load(clients=CLIENTS, keys=CLIENTS)) as workload,
        ):
            for group in SHARDS:
                workload.wait_for_writes(CALM, group, 20)
            name = node or self.cluster.primary("shard-1").name
            workload.mark(f"{fault} {name}")
            if fault == "step down":
                step_down(self.cluster, self.cluster.node(name))
            else:
                self.cluster.kill(name, signal.Signals[fault])
            if fault == "SIGSTOP":
                workload.run(STILL)
                for group in SHARDS:
                    workload.wait_for_writes(CALM, group, GOES_ON)
                workload.mark("resumed")
                self.cluster.resume()
            for group in SHARDS:
                workload.wait_for_writes(CALM, group, GOES_ON)
            self.history = workload.finish()
            report = summarise(self.history)
        slowest = sorted(store.exchanges, key=lambda exchange: -exchange.took)[:5]
        print(f"\n{report.text()}")  # noqa: T201 - the figures, shown by -s and on failure
        for one in slowest:
            print(f"  {one.took:.3f} s {one.method} {one.path}: {one.status}")  # noqa: T201
        return report, store


@pytest.fixture(scope="module")
def server(
    cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server whose settings are the defaults, save for short-lived tokens and higher limits."""
    folder = tmp_path_factory.mktemp("api-drill")
    environment = environment_of(
        cluster.uri("app"), folder, ACCESS_TOKEN_LIFETIME=str(TOKEN_LIFETIME)
    )
    apply_schema(environment)
    with running(environment, folder / "log") as started:
        yield started


@pytest.fixture
def drill(server: RunningServer, healed_cluster: LocalCluster) -> ApiDrill:
    """The server with new accounts, before a cluster that is healed afterwards."""
    return ApiDrill(healed_cluster, server, one_account_per_shard(healed_cluster, server))


def one_account_per_shard(
    cluster: LocalCluster, server: RunningServer
) -> dict[str, tuple[str, str]]:
    """Accounts by the shard that all of their projects are on."""
    found: dict[str, tuple[str, str]] = {}
    client: MongoClient[dict[str, Any]]
    with MongoClient(cluster.uri("admin")) as client:
        while set(found) != set(SHARDS):
            mark = secrets.token_hex(6)
            email = f"drill.{mark}@example.com"
            person = {
                "name": "Drill Sergeant",
                "national_id": f"D-{mark.upper()}",
                "email": email,
                "password": PASSWORD,
            }
            answer = requests.post(f"{server.url}/api/v1/auth/signup", json=person, timeout=20)
            assert answer.status_code == 201, answer.text
            found.setdefault(shard_of(client, answer.json()["id"]), (email, PASSWORD))
    return found


def shard_of(client: MongoClient[dict[str, Any]], owner: str) -> str:
    """The shard with the projects of this user."""
    find = {"find": "projects", "filter": {"owner": ObjectId(owner)}}
    plan = client[DATABASE].command("explain", find, verbosity="queryPlanner")
    [shard] = plan["queryPlanner"]["winningPlan"]["shards"]
    return str(shard["shardName"])


def assert_only_latency(report: Report, store: ApiStore) -> None:
    """No error was seen; every acknowledged write is there once, in order; tokens were renewed."""
    assert report.errors == {}
    assert report.violations == []
    assert report.unverified == 0
    assert {exchange.status // 100 for exchange in store.exchanges} <= {2, 4}
    assert any(consumer.refreshes for consumer in store.consumers)


@pytest.mark.core
def test_kill_of_a_shard_primary(drill: ApiDrill) -> None:
    report, store = drill.run("SIGKILL")
    assert_only_latency(report, store)


def test_step_down_of_a_shard_primary(drill: ApiDrill) -> None:
    report, store = drill.run("step down")
    assert_only_latency(report, store)


def test_kill_of_one_router_of_two(drill: ApiDrill) -> None:
    report, store = drill.run("SIGKILL", "router-1")
    assert_only_latency(report, store)


def test_one_router_of_two_stands_still(drill: ApiDrill) -> None:
    """It keeps its connections and says nothing; afterwards it goes on with what it had."""
    report, store = drill.run("SIGSTOP", "router-1")
    assert_only_latency(report, store)
    assert held_up(drill.history, "SIGSTOP router-1", "resumed") == []


@pytest.mark.core
def test_a_shard_primary_stands_still(drill: ApiDrill) -> None:
    """The routers give it up once another member is primary."""
    report, store = drill.run("SIGSTOP")
    assert_only_latency(report, store)

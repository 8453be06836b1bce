"""A drill on the shared cluster: a load, a fault in the middle of it, and what came of it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from cluster.drill.mongo import MongoTarget, move, prepare
from cluster.drill.report import Report, summarise
from cluster.drill.workload import Load, Workload
from cluster.local.cluster import LocalCluster
from cluster.local.nodes import LocalNode

SHARDS = ("shard-1", "shard-2")
DATABASE = "drill"
CALM = 40
"""Acknowledged writes on each shard before the fault, and again after all is over."""


@dataclass
class Drill:
    """The cluster, a collection of its own spread over both shards, and a load of 8 clients."""

    cluster: LocalCluster
    client: MongoClient[dict[str, Any]]
    collection: str

    @property
    def longest_gap(self) -> float:
        """The write gap that a failure may cost here, in seconds.

        On a quiet machine it is at most 1.5 times the election timeout (the README has the
        figures). Tests share two cores with other tests, which may double it; an election that
        waits for MongoDB's own 10 seconds, or a client for one of its time-outs, still shows.
        """
        return 2 * 1.5 * self.cluster.record().topology.election_timeout_ms / 1000

    def move(self, group: str, shard: str) -> None:
        """Move a group's chunk to a shard."""
        move(self.client, DATABASE, self.collection, group, shard)

    def run(self, fault: Callable[[Workload], None], seconds: float) -> Report:
        """Let the load run, break something, and watch for `seconds` longer.

        Fails unless the writes go on again on both shards.
        """
        target = MongoTarget(self.client, DATABASE, self.collection, SHARDS)
        with Workload(target, Load()) as workload:
            for shard in SHARDS:
                workload.wait_for_writes(CALM, shard, 20)
            fault(workload)
            workload.run(seconds)
            for shard in SHARDS:
                workload.wait_for_writes(CALM, shard, 20)
        report = summarise(workload.finish())
        print(f"\n{report.text()}")  # noqa: T201 - the measured figures, shown by -s and on failure
        return report


@pytest.fixture
def drill(healed_cluster: LocalCluster) -> Iterator[Drill]:
    """A drill with a fresh collection; the cluster is healed afterwards."""
    client: MongoClient[dict[str, Any]]
    # The driver's defaults, which retry every call once, save that no call may hang for ever.
    with MongoClient(healed_cluster.uri("admin"), socketTimeoutMS=30_000) as client:
        collection = f"keys_{secrets.token_hex(4)}"
        prepare(client, DATABASE, collection, SHARDS)
        yield Drill(healed_cluster, client, collection)


def step_down(cluster: LocalCluster, primary: LocalNode) -> None:
    """Tell a primary to let another member take its place."""
    client: MongoClient[dict[str, Any]]
    with (
        MongoClient(
            primary.host,
            primary.port,
            directConnection=True,
            username="__system",
            password="".join(cluster.state.key().split()),
            authSource="local",
            authMechanism="SCRAM-SHA-256",
        ) as client,
        contextlib.suppress(AutoReconnect),
    ):
        client.admin.command("replSetStepDown", 20)

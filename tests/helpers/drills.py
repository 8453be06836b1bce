"""A load on the shared cluster, and a fault in the middle of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from cluster.drill.history import Call, History
from cluster.drill.judge.summary import Report, summarise
from cluster.drill.load.mongo import MongoStore, move
from cluster.drill.load.workload import Load, Workload
from cluster.local.cluster import LocalCluster, LocalNode

SHARDS = ("shard-1", "shard-2")


DATABASE = "drill"


CALM = 40
"""Acknowledged writes on each shard before the fault, and again after it."""


GOES_ON = 60.0
"""Seconds after which writes that do not go on never will, on however slow a machine."""


@dataclass
class Drill:
    """The cluster, a collection of its own spread over both shards, and a load of 8 clients."""

    cluster: LocalCluster
    client: MongoClient[dict[str, Any]]
    collection: str
    history: History = field(default_factory=History)

    def move(self, group: str, shard: str) -> None:
        """Move a group's chunk to a shard."""
        move(self.client, DATABASE, self.collection, group, shard)

    def run(self, fault: Callable[[Workload], None]) -> Report:
        """Let the load run, break something, and see that the writes go on on both shards.

        What the fault cost is printed. It depends on the machine, so no test asserts it.
        """
        store = MongoStore(self.client, DATABASE, self.collection, SHARDS)
        with Workload(store, Load()) as workload:
            for shard in SHARDS:
                workload.wait_for_writes(CALM, shard, 20)
            fault(workload)
            for shard in SHARDS:
                workload.wait_for_writes(CALM, shard, GOES_ON)
        self.history = workload.finish()
        report = summarise(self.history)
        print(f"\n{report.text()}")  # noqa: T201 - the measured figures, shown by -s and on failure
        return report


def held_up(history: History, stopped: str, resumed: str) -> list[Call]:
    """The calls that began before one mark and ended after another: they waited for a sleeper."""
    at = {mark.text: mark.at for mark in history.marks}
    calls = history.calls
    return [call for call in calls if call.begin < at[stopped] and call.end > at[resumed]]


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

"""A light load on a small cluster, and what came of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient

from cluster.drill.judge.summary import Report, summarise
from cluster.drill.load.mongo import MongoStore, prepare
from cluster.drill.load.workload import Load, Workload
from cluster.local.cluster import LocalCluster

SHARDS = ("shard-1",)
CALM = 20
"""Acknowledged writes before and after whatever happens meanwhile."""


class Loaded:
    """`report` is there when the load has ended; `mark` notes an event in it."""

    report: Report

    def __init__(self, workload: Workload) -> None:
        self.mark = workload.mark


@contextmanager
def under_load(local: LocalCluster) -> Iterator[Loaded]:
    """Three clients write and read on shard-1 with the driver's defaults while the block runs."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(local.uri("admin"), socketTimeoutMS=30_000) as client:
        name = f"keys_{secrets.token_hex(4)}"
        prepare(client, "drill", name, SHARDS)
        workload = Workload(MongoStore(client, "drill", name, SHARDS), Load(clients=3))
        with workload:
            workload.wait_for_writes(CALM, "shard-1", 20)
            loaded = Loaded(workload)
            yield loaded
            workload.wait_for_writes(CALM, "shard-1", 30)
        loaded.report = summarise(workload.finish())
        print(f"\n{loaded.report.text()}")  # noqa: T201 - shown by -s and on failure

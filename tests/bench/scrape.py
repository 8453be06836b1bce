"""Measure what the exporter's answer takes, by the number of collections, chunks and documents.

On a cluster made for it, of 3 shards, it has ever more of them. Each figure is the median of
several scrapes, far enough apart that none is given what another one had.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import click
import psutil
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from cluster.exporter.holdings import holdings
from cluster.exporter.watcher import FRESH_SECONDS
from cluster.local.cluster import LocalCluster
from cluster.servers.connections import Client
from cluster.servers.waiting import Waiter
from tests.local.exporter.exporting import Exporter, exporting

SCRAPES = 9
MAKERS = 4
EVERY_SECONDS = 15.0
"""As Prometheus asks by our configuration."""
MEASURED_SECONDS = 120.0
"""For the processor time: two rounds of what is asked in the background."""
MEMBERS = 12
HOLDINGS_SECONDS = 600.0
BATCH = 10_000


@click.command(help=__doc__, short_help="What a scrape takes, by collections, chunks, documents.")
@click.option(
    "--steps", default="10,1000,10000", show_default=True, help="Collections, and chunks."
)
@click.option("--documents", default=500_000, show_default=True, help="At the end of it.")
def scrape(steps: str, documents: int) -> None:
    numbers = [int(step) for step in steps.split(",")]
    with tempfile.TemporaryDirectory(prefix="shardstack-bench-") as folder:
        cluster = LocalCluster(Path(folder) / "state")
        client: Client
        try:
            cluster.up(shards=3)
            with MongoClient(cluster.uri("admin")) as client:
                for before, number in pairwise([0, *numbers]):
                    _more_collections(cluster, before, number)
                    _more_chunks(client, number)
                    _tell(cluster, f"{number} collections, {number} chunks, no documents")
                _fill(client, documents)
                _tell(cluster, f"the same, {documents} documents")
        finally:
            cluster.down(purge=True)


def _more_collections(cluster: LocalCluster, before: int, number: int) -> None:
    """So many in all, by turns on each shard: directly, since a router takes its time for each."""
    quick = WriteConcern(w=1)
    with _primaries(cluster) as shards, ThreadPoolExecutor(MAKERS) as makers:
        many = [shard.get_database("many", write_concern=quick) for shard in shards]

        def make(n: int) -> None:
            many[n % len(many)].create_collection(f"c{n:05d}")

        list(makers.map(make, range(before, number)))


def _more_chunks(client: Client, number: int) -> None:
    """So many, of one collection, on all shards."""
    client.admin.command("enableSharding", "wide")
    client["wide"].drop_collection("chunks")
    sharded: dict[str, Any] = {"key": {"_id": "hashed"}, "numInitialChunks": number}
    client.admin.command("shardCollection", "wide.chunks", **sharded)


def _fill(client: Client, documents: int) -> None:
    for first in range(0, documents, BATCH):
        many = [{"_id": n, "text": "x" * 100} for n in range(first, min(first + BATCH, documents))]
        client["wide"]["chunks"].insert_many(many, ordered=False)


def _tell(cluster: LocalCluster, what: str) -> None:
    """Measure, and print a line."""
    with exporting(cluster) as exporter, _primaries(cluster) as shards:
        began = time.monotonic()
        told = sum(1 for _ in holdings(shards[0]))
        held = time.monotonic() - began
        _wait_for_holdings(exporter)
        took, asking, size = zip(*(_scrape(exporter) for _ in range(SCRAPES)), strict=True)
        share = _processor(exporter)
    click.echo(
        f"{what}: a scrape takes {median(took) * 1000:.0f} ms, of which "
        f"{median(asking) * 1000:.0f} ms are the servers', and has {median(size) / 1e6:.1f} MB; "
        f"what a member holds: {told} parts in {held:.2f} s; {share:.1%} of a core"
    )


def _wait_for_holdings(exporter: Exporter) -> None:
    """Until it has asked every member what it holds."""

    def known() -> int:
        return exporter.get("/metrics").count("\nmongodb_oplog_stats_count{")

    Waiter(HOLDINGS_SECONDS).until(
        lambda: known() >= MEMBERS or None,
        lambda: f"the exporter knows of {known()} members what they hold",
        every=1,
    )


def _scrape(exporter: Exporter) -> tuple[float, float, int]:
    """Seconds until the answer, seconds in which the servers were asked, and bytes."""
    time.sleep(FRESH_SECONDS * 1.5)
    began = time.monotonic()
    text = exporter.get("/metrics")
    took = time.monotonic() - began
    [asking] = [line for line in text.splitlines() if line.startswith("shardstack_scrape_seconds{")]
    return took, float(asking.split()[-1]), len(text)


def _processor(exporter: Exporter) -> float:
    """The share of a core that it takes while it is asked as Prometheus does."""
    process = psutil.Process(exporter.process.pid)
    began, before = time.monotonic(), sum(process.cpu_times()[:2])
    while time.monotonic() - began < MEASURED_SECONDS:
        exporter.get("/metrics")
        time.sleep(EVERY_SECONDS)
    return (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


@contextlib.contextmanager
def _primaries(cluster: LocalCluster) -> Iterator[list[Client]]:
    """A connection to each shard's primary."""
    access = cluster.access()
    names = {cluster.primary(one.name).name for one in access.layout.shards}
    with access.connections(60) as connections:
        yield [connections.member(one) for one in access.layout.nodes if one.name in names]

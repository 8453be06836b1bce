"""Measure what a dump costs those who write meanwhile: the longest wait for an acknowledgement.

On a cluster made for it, 8 clients write and read at a fixed rate all the time. A dump is made and,
for as long as that took, none, by turns. The difference is the median over all pairs.
"""

import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

import click
from pymongo import MongoClient

from cluster.drill.history import History
from cluster.drill.judge.checker import check
from cluster.drill.load.mongo import MongoStore, prepare
from cluster.drill.load.workload import Load, Workload
from cluster.local.cluster import LocalCluster
from cluster.servers.connections import Client
from tests.bench.load import document
from tests.bench.servers import ROOT

SHARDS = ("shard-1", "shard-2")
RATE = 100.0
"""Calls in a second: far below what the cluster answers, so that waits are not the clients' own."""
BATCH = 5_000
DUMP, NONE, END = "a dump", "none", "the end"


@click.command(help=__doc__, short_help="What a dump costs those who write meanwhile.")
@click.option("--documents", default=200_000, show_default=True, help="Documents to dump.")
@click.option("--runs", default=7, show_default=True, help="Pairs of a dump and none.")
def dump(documents: int, runs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="shardstack-bench-") as folder:
        cluster = LocalCluster(Path(folder) / "state")
        try:
            cluster.up()
            history = _load(cluster, Path(folder), documents, runs)
        finally:
            cluster.down(purge=True)
    waits = longest(history)
    for kind, values in waits.items():
        each = ", ".join(f"{value:.0f}" for value in values)
        click.echo(f"longest wait of a write with {kind}: median {median(values):.0f} ms ({each})")
    more = median(one - other for one, other in zip(waits[DUMP], waits[NONE], strict=True))
    click.echo(f"a dump costs {more:.0f} ms; {len(check(history))} violations")


def _load(cluster: LocalCluster, folder: Path, documents: int, runs: int) -> History:
    client: Client
    with MongoClient(cluster.uri("admin")) as client:
        _fill(client, documents)
        prepare(client, "load", "keys", SHARDS)
        store = MongoStore(client, "load", "keys", SHARDS)
        with Workload(store, Load(clients=8, rate=RATE)) as workload:
            workload.run(5)
            for number in range(1, runs + 1):
                workload.mark(DUMP)
                began = time.monotonic()
                _dump(cluster, folder / str(number))
                took = time.monotonic() - began
                click.echo(f"dump {number} of {runs}: {took:.1f} s", err=True)
                workload.mark(NONE)
                workload.run(took)
            workload.mark(END)
        return workload.finish()


def _fill(client: Client, documents: int) -> None:
    click.echo(f"loading {documents} documents", err=True)
    prepare(client, "bulk", "documents", SHARDS)
    for first in range(0, documents, BATCH):
        numbers = range(first, min(first + BATCH, documents))
        many = [document(f"{SHARDS[n % 2]}/{n:07d}") for n in numbers]
        client["bulk"]["documents"].insert_many(many, ordered=False)


def _dump(cluster: LocalCluster, target: Path) -> None:
    state = str(cluster.state.folder)
    command = [sys.executable, "-m", "cluster", "dump", str(target), "--state", state]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"the dump failed: {done.stderr}")


def longest(history: History) -> dict[str, list[float]]:
    """The longest wait of an acknowledged write between two marks, in ms, by the first of them."""
    found: dict[str, list[float]] = {DUMP: [], NONE: []}
    writes = [call for call in history.calls if call.acknowledged_write]
    for mark, next_one in pairwise(history.marks):
        within = (call for call in writes if call.end > mark.at and call.begin < next_one.at)
        found[mark.text].append(max(call.took / 1e6 for call in within))
    return found

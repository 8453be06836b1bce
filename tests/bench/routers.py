"""Measure the routers against the shard behind them, on a cluster made for it.

By-id reads and w:majority inserts of 8 threads, once through the routers and once straight to the
primary of the shard that owns the documents: same collection, same driver, same process, by turns.
The ratio is the median over all pairs. Times depend on the machine; ratios hardly do.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import click
import msgspec
from pymongo import MongoClient

from cluster.drill.load.mongo import prepare
from cluster.local.cluster import LocalCluster
from tests.bench.load import Plan, Run, document
from tests.bench.results import ratio

SHARDS = ("shard-1", "shard-2")
OWNER = "shard-1"
DATABASE, COLLECTION = "bench", "documents"
DOCUMENTS = 10_000
WANTED = {"read": 0.6, "insert": 0.5}
NAMES = {"read": "by-id read", "insert": "insert, w:majority"}


class Comparison(msgspec.Struct):
    """One kind of call: every run both ways, and the medians of each figure."""

    kind: str
    ratio: float
    wanted: float
    through_routers: Run
    straight_to_shard: Run
    runs: list[tuple[Run, Run]]


class Result(msgspec.Struct):
    """Everything measured. `boot` is seconds since the start, by what was reached."""

    router: str
    boot: dict[str, float]
    comparisons: list[Comparison]


@click.command(help=__doc__, short_help="The routers against the shard behind them.")
@click.option("--runs", default=7, show_default=True, help="Pairs of runs for each kind of call.")
@click.option("--seconds", default=1.5, show_default=True, help="Length of one run.")
@click.option("--threads", default=8, show_default=True, help="Client threads.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here too.")
def routers(runs: int, seconds: float, threads: int, file: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="shardstack-bench-") as folder:
        cluster = LocalCluster(Path(folder) / "state")
        try:
            result = measure(cluster, runs, seconds, threads)
        finally:
            cluster.down(purge=True)
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    show(result)


def measure(cluster: LocalCluster, runs: int, seconds: float, threads: int) -> Result:
    """Start the cluster, fill it, and compare."""
    boot = start(cluster)
    client: MongoClient[dict[str, Any]]
    with MongoClient(cluster.uri("admin")) as client:
        router = "stand-in" if "router" in client.admin.command("buildInfo") else "mongos"
        fill(client)
        # Neither way gets faster or slower by a chunk that moves meanwhile.
        client.admin.command("balancerStop")
    ways = (cluster.uri("admin"), straight(cluster))
    result = Result(router, boot, [])
    for kind, wanted in WANTED.items():
        pairs = []
        for number in range(runs):
            click.echo(f"{NAMES[kind]}: run {number + 1} of {runs}", err=True)
            order = (0, 1) if number % 2 else (1, 0)
            pair = {
                way: one_run(ways[way], kind, f"{number}-{way}", seconds, threads) for way in order
            }
            pairs.append((pair[0], pair[1]))
        found = ratio(
            (ours.operations_per_second, theirs.operations_per_second) for ours, theirs in pairs
        )
        through, direct = (middle([pair[way] for pair in pairs]) for way in (0, 1))
        result.comparisons.append(Comparison(kind, found, wanted, through, direct, pairs))
    return result


def start(cluster: LocalCluster) -> dict[str, float]:
    """Bring the cluster up; the seconds after which each stretch was done."""
    boot: dict[str, float] = {}
    begin = time.monotonic()

    def phase(line: str) -> None:
        boot[line] = round(time.monotonic() - begin, 2)
        click.echo(f"{boot[line]:6.2f} s  {line}", err=True)

    cluster.up(phase=phase)
    return boot


def fill(client: "MongoClient[dict[str, Any]]") -> None:
    """Documents to read, all on one shard."""
    prepare(client, DATABASE, COLLECTION, SHARDS)
    keys = (f"{OWNER}/{number:06d}" for number in range(DOCUMENTS))
    client[DATABASE][COLLECTION].insert_many([document(key) for key in keys], ordered=False)


def straight(cluster: LocalCluster) -> str:
    """A connection string to the owning shard's replica set, as routers themselves log in."""
    members = ",".join(f"{n.host}:{n.port}" for n in cluster.nodes() if n.set_name == OWNER)
    password = quote("".join(cluster.state.key().split()), safe="")
    return f"mongodb://__system:{password}@{members}/?replicaSet={OWNER}&authSource=local"


def one_run(uri: str, kind: str, name: str, seconds: float, threads: int) -> Run:
    """Run the load in a process of its own."""
    plan = Plan(
        uri=uri,
        database=DATABASE,
        collection=COLLECTION,
        prefix=OWNER,
        kind=kind,
        run=name,
        documents=DOCUMENTS,
        threads=threads,
        seconds=seconds,
        warm_up=0.3,
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=msgspec.json.encode(plan),
        stdout=subprocess.PIPE,
        check=True,
        timeout=60 + seconds,
    )
    return msgspec.json.decode(done.stdout, type=Run)


def middle(runs: list[Run]) -> Run:
    """The median of each figure."""
    return Run(
        median(run.operations_per_second for run in runs),
        median(run.p50 for run in runs),
        median(run.p99 for run in runs),
    )


def show(result: Result) -> None:
    """Print the figures as a table."""
    from rich.console import Console  # noqa: PLC0415 - only when something is shown
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"through the routers ({result.router}) against straight to the shard")
    for column in ("", "ops/s", "p50 ms", "p99 ms", "ratio", "wanted"):
        table.add_column(column, justify="left" if not column else "right")
    for one in result.comparisons:
        for name, run in (("routers", one.through_routers), ("shard", one.straight_to_shard)):
            figures = (f"{run.operations_per_second:.0f}", f"{run.p50:.2f}", f"{run.p99:.2f}")
            first = name == "routers"
            ratio = (f"{one.ratio:.2f}", f"≥ {one.wanted}") if first else ("", "")
            table.add_row(f"{NAMES[one.kind]}, {name}", *figures, *ratio)
    console = Console()
    console.print(table)
    last, reached = max(result.boot.items(), key=lambda item: item[1])
    console.print(f"boot: {reached:.2f} s until: {last}")

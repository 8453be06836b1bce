"""Measure what large data costs: reads by id among a million users, and the 1,000th page of a list.

Two servers of ours, the same but for their databases. The p99 of the read by id with many users
against that with few, by turns; and page 1,000 against page 1, one request after the other, by
turns. Users are loaded without claims, which reads by id and lists do not look at.
"""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import click
import requests
from bson import ObjectId

from api import schema, settings, setup
from api.resources import USERS
from api.samples.data import sample_user
from api.store import Store
from api.store.deadline import deadline
from api.store.document import fresh
from cluster.local.cluster import LocalCluster
from tests.bench import dataset, servers
from tests.bench.generator import fire, require
from tests.bench.plans import PASSWORD, Dialect, plan
from tests.bench.results import ratio

BATCH = 5_000
KNOWN = 20_000
"""Ids that are asked for, spread over all users."""
CONNECTIONS = 4
"""Few, so that the p99 shows the work and not the queue."""
PAGE, FAR = 50, 1_000
WANTED = 1.2


@click.command(help=__doc__, short_help="A million users against ten thousand; page 1,000.")
@click.option("--users", default=1_000_000, show_default=True, help="The larger number of users.")
@click.option("--few", default=10_000, show_default=True, help="The smaller number.")
@click.option("--runs", default=7, show_default=True, help="Rounds.")
@click.option("--seconds", default=3, show_default=True, help="Length of one run.")
def large(users: int, few: int, runs: int, seconds: int) -> None:
    require()
    with tempfile.TemporaryDirectory(prefix="shardstack-bench-") as folder:
        cluster = LocalCluster(Path(folder) / "state")
        try:
            cluster.up()
            with ExitStack() as stack:
                pair = [_Side(stack, cluster, Path(folder), count) for count in (few, users)]
                _reads(pair, runs, seconds, Path(folder))
                _pages(pair[1])
        finally:
            cluster.down(purge=True)


class _Side:
    """A server over so many users."""

    def __init__(self, stack: ExitStack, cluster: LocalCluster, folder: Path, count: int) -> None:
        self.count = count
        place = folder / str(count)
        place.mkdir()
        uri = dataset.named(cluster.uri("admin"), f"bench_{count}")
        environment = servers.environment(uri, place)
        began = time.monotonic()
        self.ids = _load(environment, count)
        click.echo(f"{count} users loaded in {time.monotonic() - began:.0f} s", err=True)
        self.server = servers.ours(environment, place)
        stack.callback(self.server.stop)
        self.admin = dataset.log_in(self.server.url, dataset.ADMIN)

    def p99(self, mark: str, seconds: int, folder: Path) -> float:
        """Milliseconds."""
        made = plan("by_id", Dialect(), self.ids, [], admin=self.admin, mark=mark)
        return fire(self.server.url, made, seconds, folder, CONNECTIONS).p99


def _load(environment: dict[str, str], count: int) -> list[str]:
    """Insert so many users, several batches at once; some of their ids."""
    store = Store(settings.load(environment).store_options())
    try:
        with deadline(60):
            schema.apply(store)
            setup.ensure_admin(store, dataset.ADMIN, PASSWORD)
        users = store.collection(USERS.name)
        ids = [ObjectId() for _ in range(count)]

        def insert(numbers: range) -> None:
            batch = [fresh(USERS.beginning(sample_user(n)), ids[n]) for n in numbers]
            users.insert_many(batch, ordered=False)

        with ThreadPoolExecutor(3) as threads:
            list(threads.map(insert, _batches(count)))
    finally:
        store.close()
    return [str(one) for one in ids[:: max(1, count // KNOWN)]]


def _batches(count: int) -> Iterator[range]:
    for begin in range(0, count, BATCH):
        yield range(begin, min(begin + BATCH, count))


def _reads(pair: list[_Side], runs: int, seconds: int, folder: Path) -> None:
    for side in pair:
        side.p99("warm", seconds, folder)
    rounds = []
    for number in range(runs):
        order = (0, 1) if number % 2 else (1, 0)
        found = {n: pair[n].p99(f"r{number}", seconds, folder) for n in order}
        rounds.append((found[0], found[1]))
    few, many = (median(one[n] for one in rounds) for n in (0, 1))
    click.echo(
        f"read by id, p99: {few:.2f} ms with {pair[0].count} users, {many:.2f} ms with"
        f" {pair[1].count}; ratio {ratio((b, a) for a, b in rounds):.2f} (≤ {WANTED})"
    )


def _pages(side: _Side, runs: int = 150) -> None:
    session = requests.Session()
    session.headers["Authorization"] = side.admin
    first = f"{side.server.url}/api/v1/users?limit={PAGE}"

    def get(url: str) -> tuple[float, Any]:
        before = time.perf_counter()
        answer = session.get(url, timeout=30)
        took = (time.perf_counter() - before) * 1000
        answer.raise_for_status()
        return took, answer.json()

    far = first
    for _ in range(FAR - 1):
        far = f"{first}&after={get(far)[1]['next']}"
    pairs = [(get(first)[0], get(far)[0]) for _ in range(runs)]
    near, distant = (median(one[n] for one in pairs) for n in (0, 1))
    click.echo(
        f"page 1: {near:.2f} ms, page {FAR}: {distant:.2f} ms;"
        f" ratio {ratio((b, a) for a, b in pairs):.2f} (≤ {WANTED})"
    )

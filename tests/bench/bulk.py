"""Measure bulk import against PyMongo's insert_many of the same documents through the same routers.

The import comes in over HTTP, validates every line, and takes the claims on unique values;
insert_many (w:majority) does none of it: as it is by default, which stops at the first error, and
unordered, which is faster where documents go to several shards. The other collection has the same
shard key and indexes, in a database of its own. By turns, on a cluster made for it; the ratios are
medians. Each claim is a document of its own: beside 1,000 users an import inserts 2,000 claims.
"""

import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import msgspec
import requests
from bson import ObjectId

from api import schema, settings, setup
from api.resources import USERS
from api.resources.projects import PROJECTS
from api.samples.data import sample_user
from api.store import Store
from api.store.deadline import deadline
from api.store.document import fresh
from cluster.local.cluster import LocalCluster
from tests.bench import dataset, servers
from tests.bench.plans import PASSWORD
from tests.bench.results import ratio

WANTED = 0.5
NDJSON = "application/x-ndjson"
RESOURCES = ("users", "projects")


class Compared(msgspec.Struct):
    """Documents per second, each way, and the medians of the ratios within each round."""

    resource: str
    claims: int
    imported: float
    inserted: float
    inserted_unordered: float
    ratio: float
    ratio_unordered: float
    rounds: list[tuple[float, float, float]]


@click.command(help=__doc__, short_help="Bulk import against PyMongo's insert_many.")
@click.option("--runs", default=7, show_default=True, help="Pairs of runs.")
@click.option("--count", default=5000, show_default=True, help="Documents of a run.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here.")
def bulk(runs: int, count: int, file: Path | None) -> None:
    with tempfile.TemporaryDirectory(prefix="shardstack-bench-") as folder:
        cluster = LocalCluster(Path(folder) / "state")
        try:
            cluster.up()
            found = measure(cluster.uri("admin"), Path(folder), runs, count)
        finally:
            cluster.down(purge=True)
    for one in found:
        click.echo(
            f"{one.resource:9} {one.claims} claims each  import {one.imported:6.0f}/s  "
            f"insert_many {one.inserted:6.0f}/s, ratio {one.ratio:.2f} (wanted: {WANTED})  "
            f"unordered {one.inserted_unordered:6.0f}/s, ratio {one.ratio_unordered:.2f}"
        )
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))


def measure(uri: str, folder: Path, runs: int, count: int) -> list[Compared]:
    """All comparisons, on the cluster behind `uri`; the API's server is started for it."""
    environment = servers.environment(dataset.named(uri, "bench_bulk"), folder)
    store, other = (
        Store(settings.load({**environment, **where}).store_options())
        for where in ({}, _plain(dataset.named(uri, "bench_plain"), folder))
    )
    with deadline(120):
        schema.apply(store)
        schema.apply(other)
        setup.ensure_admin(store, dataset.ADMIN, PASSWORD)
    server = servers.ours(environment, folder)
    try:
        token = dataset.log_in(server.url, dataset.ADMIN)
        headers = {"Authorization": token, "Content-Type": NDJSON}
        return [_compare(server.url, headers, other, name, runs, count) for name in RESOURCES]
    finally:
        server.stop()
        store.close()
        other.close()


def _plain(uri: str, folder: Path) -> dict[str, str]:
    (folder / "plain").write_text(uri)
    return {"SHARDSTACK_DATABASE_URI_FILE": str(folder / "plain")}


def _compare(  # noqa: PLR0917 - each is a part of the comparison
    url: str, headers: Mapping[str, str], other: Store, name: str, runs: int, count: int
) -> Compared:
    rounds: list[tuple[float, float, float]] = []
    for number in range(runs + 1):  # the first warms up
        imported = _import(f"{url}/api/v1/{name}/import", headers, _given(name, count))
        ordered, unordered = (_insert(other, name, count, ordered=way) for way in (True, False))
        if number:
            rounds.append((imported, ordered, unordered))
    return Compared(
        name,
        len(USERS.unique) if name == USERS.name else 0,
        median(imported for imported, _, _ in rounds),
        median(ordered for _, ordered, _ in rounds),
        median(unordered for _, _, unordered in rounds),
        ratio((imported, ordered) for imported, ordered, _ in rounds),
        ratio((imported, unordered) for imported, _, unordered in rounds),
        rounds,
    )


def _insert(store: Store, name: str, count: int, *, ordered: bool) -> float:
    stored = [fresh(_stored(name, one), ObjectId()) for one in _given(name, count)]
    insert = partial(store.collection(name).insert_many, stored, ordered=ordered)
    return _timed(insert, count)


def _given(name: str, count: int) -> list[dict[str, Any]]:
    """What a consumer sends, nothing of it sent before."""
    mark = secrets.token_hex(4)
    if name == USERS.name:
        return [
            {**sample_user(n), "email": f"{mark}.{n}@example.com", "national_id": f"{mark}-{n:06d}"}
            for n in range(count)
        ]
    owners = [str(ObjectId()) for _ in range(100)]
    return [
        {"name": f"Project {mark} {n}", "description": "x" * 200, "owner": owners[n % 100]}
        for n in range(count)
    ]


def _stored(name: str, given: dict[str, Any]) -> dict[str, Any]:
    if name == USERS.name:
        return USERS.beginning(given)
    return PROJECTS.beginning(PROJECTS.converted(given))


def _import(url: str, headers: Mapping[str, str], given: list[dict[str, Any]]) -> float:
    body = b"".join(msgspec.json.encode(one) + b"\n" for one in given)
    answers: list[requests.Response] = []
    rate = _timed(
        lambda: answers.append(requests.post(url, data=body, headers=dict(headers), timeout=600)),
        len(given),
    )
    last = answers[0].content.splitlines()[-1]
    if msgspec.json.decode(last) != {"created": len(given), "refused": 0}:
        raise click.ClickException(f"the import was not whole: {last.decode()}")
    return rate


def _timed(call: Callable[[], Any], count: int) -> float:
    began = time.perf_counter()
    call()
    return count / (time.perf_counter() - began)

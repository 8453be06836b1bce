"""Measure the API against a bare Flask handler and against Eve.

On a cluster made for it: by-id read, list of 50, create, PATCH and log-in, the same load on each
server by turns, under the same gunicorn settings. Ratios are medians over all rounds: of requests
per second, and of the CPU time that the workers take for a request, which is steadier.
"""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import msgspec
import requests
from pymongo import MongoClient

from cluster.local.cluster import LocalCluster
from tests.bench import dataset, keeping, servers
from tests.bench.generator import fire, require
from tests.bench.plans import ACCOUNTS, MEASURES, Dialect, Person, plan
from tests.bench.results import Result, Run, show

WARM_UP = 1


@click.command(help=__doc__, short_help="The API against bare Flask and against Eve.")
@click.option("--runs", default=7, show_default=True, help="Rounds of each measure.")
@click.option("--seconds", default=2, show_default=True, help="Length of one run.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option(
    "--keep", is_flag=True, help="Renew imgs/bench.json and the table in tests/bench/README.md."
)
@click.option(
    "--only", multiple=True, type=click.Choice(MEASURES), help="This measure; may be repeated."
)
@click.option("--without-eve", is_flag=True, help="Compare with bare Flask only.")
def api(
    *,
    runs: int,
    seconds: int,
    file: Path | None,
    keep: bool,
    only: tuple[str, ...],
    without_eve: bool,
) -> None:
    require()
    if not without_eve:
        servers.make_eve()
    machine = servers.machine()
    with tempfile.TemporaryDirectory(prefix="shardstack-bench-") as folder:
        cluster = LocalCluster(Path(folder) / "state")
        try:
            cluster.up()
            with ExitStack() as stack:
                bench = Bench(stack, cluster, Path(folder), eve=not without_eve)
                result = bench.run(only or MEASURES, runs, seconds)
        finally:
            cluster.down(purge=True)
    result.machine = machine
    if file is not None:
        file.write_bytes(
            msgspec.json.format(msgspec.json.encode(result.measures), indent=2) + b"\n"
        )
    if keep:
        keeping.keep(result)
    show(result)


class Bench:
    """The servers, up, each with its own data."""

    def __init__(self, stack: ExitStack, cluster: LocalCluster, folder: Path, *, eve: bool) -> None:
        self._folder = folder
        admin = cluster.uri("admin")
        uris = {name: dataset.named(admin, f"bench_{name}") for name in ("ours", "bare", "eve")}
        if not eve:
            del uris["eve"]
        environment = servers.environment(uris["ours"], folder)
        click.echo("filling the databases", err=True)
        others = {name: uri for name, uri in uris.items() if name != "ours"}
        people = dataset.fill(environment, others)
        self._people = {"ours": people, "bare": people}
        self._servers = {"ours": servers.ours(environment, folder)}
        stack.callback(self._servers["ours"].stop)
        self._servers["bare"] = servers.bare(uris["bare"], folder)
        stack.callback(self._servers["bare"].stop)
        if eve:
            self._servers["eve"] = servers.eve(uris["eve"], folder)
            stack.callback(self._servers["eve"].stop)
            self._people["eve"] = dataset.etags_of_eve(uris["eve"], people)
        self._dialects = {
            "ours": Dialect(),
            "bare": Dialect(),
            "eve": Dialect(
                page="max_results=50", id='"_id": *"(%x+)"', version='"_etag": *"(%x+)"'
            ),
        }
        self._log_in()
        client: MongoClient[dict[str, Any]]
        with MongoClient(admin) as client:
            build = client.admin.command("buildInfo")
            self._router = f"{build.get('router', 'mongos')}, MongoDB {build['version']}"
            # No server gets faster or slower by a chunk that moves meanwhile.
            client.admin.command("balancerStop")

    def _log_in(self) -> None:
        url = self._servers["ours"].url
        self._admin = {"ours": dataset.log_in(url, dataset.ADMIN)}
        for person in self._people["ours"][:ACCOUNTS]:
            person.authorization = dataset.log_in(url, person.email)

    def run(self, measures: tuple[str, ...], runs: int, seconds: int) -> Result:
        """Every measure in turn."""
        result = Result(router=self._router, seconds=seconds, rounds=runs)
        for measure in measures:
            names = [name for name in self._servers if (measure, name) != ("login", "eve")]
            for name in names:
                self._one(measure, name, "w", WARM_UP)
            rounds: list[Mapping[str, Run]] = []
            for number in range(runs):
                click.echo(f"{measure}: round {number + 1} of {runs}", err=True)
                turn = number % len(names)
                order = names[turn:] + names[:turn]
                rounds.append({n: self._one(measure, n, f"r{number}", seconds) for n in order})
            result.add(measure, rounds)
        return result

    def _one(self, measure: str, name: str, word: str, seconds: int) -> Run:
        server, people = self._servers[name], self._people[name]
        accounts = people[:ACCOUNTS]
        if measure == "patch":
            self._renew_versions(name, accounts)
        made = plan(
            measure,
            self._dialects[name],
            [person.id for person in people],
            accounts,
            admin=self._admin.get(name, ""),
            mark=f"{measure.replace('_', '')}{word}n",
        )
        before = server.cpu()
        fired = fire(server.url, made, seconds, self._folder)
        return Run(fired, (server.cpu() - before) / fired.requests * 1e6)

    def _renew_versions(self, name: str, accounts: list[Person]) -> None:
        """The versions after the last run, whose last answers nobody has seen."""
        for person in accounts:
            headers = {"Authorization": person.authorization} if person.authorization else {}
            answer = requests.get(
                f"{self._servers[name].url}/api/v1/users/{person.id}", headers=headers, timeout=30
            ).json()
            person.version = str(answer.get("_etag") or answer["version"])

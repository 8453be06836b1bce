"""Measure what open streams of events cost others: a read by id with 200 of them, and without.

One server of ours. By turns the streams are open or not, and beside each run a document is changed
every second, so that each stream has something to be told.
"""

import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import click
import requests

from cluster.local.cluster import LocalCluster
from tests.bench import dataset, servers
from tests.bench.generator import Fired, fire, require
from tests.bench.plans import Dialect, Person, plan
from tests.bench.results import ratio

OF_A_USER = 5
WANTED = 1.1


@click.command(help=__doc__, short_help="A read by id beside 200 open streams, and alone.")
@click.option("--streams", default=200, show_default=True, help="Open streams.")
@click.option("--runs", default=9, show_default=True, help="Rounds.")
@click.option("--seconds", default=4, show_default=True, help="Length of one run.")
def watched(streams: int, runs: int, seconds: int) -> None:
    require()
    with tempfile.TemporaryDirectory(prefix="shardstack-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        cluster = LocalCluster(folder / "state")
        stack.callback(cluster.down, purge=True)
        cluster.up()
        uri = dataset.named(cluster.uri("admin"), "bench_watched")
        environment = servers.environment(uri, folder)
        people = dataset.fill(environment, {})
        server = servers.ours(environment, folder)
        stack.callback(server.stop)
        admin = dataset.log_in(server.url, dataset.ADMIN)
        watchers = people[: streams // OF_A_USER]
        tokens = [dataset.log_in(server.url, one.email) for one in watchers] * OF_A_USER

        def run(mark: str) -> tuple[Fired, float]:
            made = plan("by_id", Dialect(), [one.id for one in people], [], admin=admin, mark=mark)
            before = server.cpu()
            with _changing(server.url, admin, people[0]):
                fired = fire(server.url, made, seconds, folder)
            return fired, (server.cpu() - before) / fired.requests * 1e6

        run("warm")
        rounds = []
        for number in range(runs):
            found = {}
            for open_ones in ([], tokens) if number % 2 else (tokens, []):
                with _streams(server.url, open_ones):
                    found[bool(open_ones)] = run(f"r{number}")
            rounds.append((found[True], found[False]))
    figures = {
        "p50": [(beside[0].p50, alone[0].p50) for beside, alone in rounds],
        "CPU per request": [(beside[1], alone[1]) for beside, alone in rounds],
        "time per request": [(alone[0].rate, beside[0].rate) for beside, alone in rounds],
    }
    for what, pairs in figures.items():
        click.echo(
            f"{what} with {len(tokens)} streams, of that without: {ratio(pairs):.2f} (≤ {WANTED})"
        )


@contextmanager
def _streams(url: str, tokens: list[str]) -> Iterator[None]:
    """Open one for each token, and take what comes."""
    parts = urlsplit(url)
    with ExitStack() as stack:
        sockets = []
        for token in tokens:
            made = socket.create_connection((parts.hostname, parts.port), timeout=10)
            stack.enter_context(made)
            head = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n"
            made.sendall(head.encode())
            told = made.recv(1024).decode(errors="replace")
            if not told.startswith("HTTP/1.1 200"):
                raise click.ClickException(f"a stream was refused:\n{told}")
            made.setblocking(False)
            sockets.append(made)

        def take() -> None:
            for one in sockets:
                with suppress(BlockingIOError):
                    one.recv(65536)

        with _every(0.2, take):
            yield


@contextmanager
def _changing(url: str, admin: str, person: Person) -> Iterator[None]:
    """Change somebody every second."""

    def change() -> None:
        body = {"occupation": f"Baker at {time.time():.0f}"}
        requests.patch(
            f"{url}/api/v1/users/{person.id}",
            json=body,
            headers={"Authorization": admin},
            timeout=10,
        ).raise_for_status()

    with _every(1, change):
        yield


@contextmanager
def _every(seconds: float, work: Callable[[], None]) -> Iterator[None]:
    """Do it again and again, in a thread."""
    done = threading.Event()

    def again() -> None:
        while not done.wait(seconds):
            work()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()

"""Load the API for half an hour and see whether its processes, and the cluster's, level off.

A cluster and an API as `make up` starts them, in a folder of their own. Consumers create, read,
change and delete; an administrator logs in, lists, exports, sends and fetches files. Every few
seconds each process is looked at: memory, open files, threads, connections. Then everything is
killed under load and started again, several times. At the end every key is read, and the history is
judged as a drill's is.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any, Self

import click
import psutil
import requests

from cluster.drill.history import HistoryFile
from cluster.drill.judge.summary import Report, summarise
from cluster.drill.load.workload import Load, Workload
from cluster.drill.running.stores import Through, opened
from cluster.drill.targets.local import LocalTarget
from cluster.drill.targets.target import Api
from cluster.local.cluster import LocalCluster
from tests.bench.servers import LIMITS, ROOT

EVERY, TELL = 5.0, 60.0
"""Seconds from one look to the next, and from one line of progress to the next."""
BACK, WRITES = 120.0, 20
"""Seconds in which each shard takes so many writes after everything was killed."""
FILE_BYTES = 100_000
PAUSE = 0.5
"""Seconds between two turns of the administrator."""
MEASURES = ("memory, MiB", "files", "threads", "connections")

Sample = tuple[float, ...]
"""A value for each of MEASURES."""
Levels = dict[str, list[Sample]]


@click.command(help=__doc__, short_help="Half an hour of load; what levels off, and what is lost.")
@click.option("--for", "seconds", default=1800, show_default=True, help="Seconds of load.")
@click.option("--clients", default=16, show_default=True, help="Consumers.")
@click.option("--rate", default=60.0, show_default=True, help="Their calls a second; 0: no pause.")
@click.option("--kills", default=3, show_default=True, help="Times that everything is killed.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here.")
def soak(seconds: int, clients: int, rate: float, kills: int, file: Path | None) -> None:
    load = Load(clients=clients, keys=clients, rate=rate)
    with tempfile.TemporaryDirectory(prefix="shardstack-soak-") as folder:
        place = Place(Path(folder) / "state")
        with ExitStack() as stack:
            stack.callback(place.down)
            place.up()
            history = Path(folder) / "history.jsonl"
            levels, report = _load(place, history, seconds, load, kills)
    _show(levels, report)
    if file is not None:
        found = {"levels": levels, "report": report.as_json()}
        file.write_text(json.dumps(found, indent=2) + "\n")
    if report.violations:
        sys.exit(2)


@dataclass
class Place:
    """A state folder, what runs in it, and the commands that start it."""

    state: Path
    url: str = ""
    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, **LIMITS})

    def up(self) -> None:
        """Start the cluster and the API, or make them whole again."""
        self._run("cluster", "up")
        self._run("api", "up", "--samples", "1000")
        self.url = json.loads(self._run("api", "status", "--json"))["url"]

    def down(self) -> None:
        """Stop both and delete the folder."""
        self._run("api", "down")
        self._run("cluster", "down", "--purge", "--yes")

    def _run(self, *words: str) -> str:
        command = [sys.executable, "-m", words[0], *words[1:], "--state", str(self.state)]
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise click.ClickException(f"{' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def processes(self) -> Iterator[tuple[str, psutil.Process]]:
        """The servers, each with its name: nodes, and the API's master and workers."""
        found = LocalCluster(self.state).status()
        nodes = {m.name: m.pid for one in found.sets for m in one.members}
        nodes |= {router.name: router.pid for router in found.routers}
        yield from ((name, psutil.Process(pid)) for name, pid in nodes.items() if pid)
        master = psutil.Process(json.loads(self._run("api", "status", "--json"))["pid"])
        yield "api", master
        for number, worker in enumerate(sorted(master.children(), key=lambda p: p.pid), 1):
            yield f"api worker {number}", worker

    def kill(self) -> None:
        """SIGKILL for all of them."""
        for _, process in list(self.processes()):
            process.send_signal(signal.SIGKILL)


class Others:
    """One administrator who lists, exports, and sends and fetches files, one request at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.asked = 0
        self.refused: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._stop.is_set():
            try:
                with requests.Session() as session:
                    self._turn(session)
            except requests.RequestException as error:
                self.refused.append(str(error))
                self._stop.wait(1)

    def _turn(self, session: requests.Session) -> None:
        def ask(method: str, path: str, **more: Any) -> requests.Response:
            self.asked += 1
            url = f"{self._place.url}/api/v1{path}"
            answer = session.request(method, url, timeout=60, **more)
            answer.raise_for_status()
            return answer

        admin = json.loads((self._place.state / "api" / "admin.json").read_text())
        token = ask("POST", "/auth/login", json=admin).json()["access_token"]
        session.headers["Authorization"] = f"Bearer {token}"
        for path in ("/users?limit=100", "/users?sort=-created_at", "/audit", "/users/export"):
            ask("GET", path)
        mark = secrets.token_hex(6)
        person = {"first_name": "Grace", "last_name": "Hopper", "email": f"g.{mark}@example.com"}
        resume = ("cv.pdf", b"%PDF-1.7\n" + secrets.token_bytes(FILE_BYTES), "application/pdf")
        lead = ask("POST", "/leads", data=person, files={"resume": resume}).json()["id"]
        ask("GET", f"/leads/{lead}/resume")
        ask("DELETE", f"/leads/{lead}")
        self._stop.wait(PAUSE)


# ---- the load ----------------------------------------------------------------------------------


def _load(
    place: Place, history: Path, seconds: int, load: Load, kills: int
) -> tuple[Levels, Report]:
    target = LocalTarget(LocalCluster(place.state))
    with ExitStack() as stack:
        file = stack.enter_context(HistoryFile(history))
        store = stack.enter_context(opened(target, Through.API, Api(place.url)))
        workload = Workload(store, load, file)
        with workload:
            with Others(place) as others:
                levels = _watch(place, workload, seconds)
            errors = workload.progress().errors
            click.echo(
                f"{workload.progress().calls} calls, {errors} errors; {others.asked} other "
                f"requests, {len(others.refused)} errors {others.refused[:3] or ''}"
            )
            for turn in range(kills):
                _kill(place, workload, store.groups, f"everything is killed, {turn + 1} of {kills}")
        return levels, summarise(workload.finish(seconds=300))


def _kill(place: Place, workload: Workload, groups: Sequence[str], mark: str) -> None:
    click.echo(mark, err=True)
    workload.mark(mark)
    place.kill()
    place.up()
    workload.mark("all is up again")
    for group in groups:
        workload.wait_for_writes(WRITES, group, BACK)


def _watch(place: Place, workload: Workload, seconds: int) -> Levels:
    found: Levels = defaultdict(list)
    known = list(place.processes())
    end = time.monotonic() + seconds
    told = 0.0
    while (left := end - time.monotonic()) > 0:
        for name, process in known:
            found[name].append(_look(process))
        if told - left > TELL or not told:
            told = left
            click.echo(f"{left:.0f} s to go, {workload.progress().calls} calls", err=True)
        workload.run(min(EVERY, left))
    return found


def _look(process: psutil.Process) -> Sample:
    with process.oneshot():
        memory = process.memory_info().rss / 2**20
        return (memory, process.num_fds(), process.num_threads(), len(process.net_connections()))


# ---- what came of it ---------------------------------------------------------------------------


def _show(levels: Levels, report: Report) -> None:
    """What each process had in the third quarter of the time and in the last: level, if alike."""
    from rich.console import Console  # noqa: PLC0415 - only when something is shown
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="mean of the third quarter of the time → of the last quarter")
    for column in ("", *MEASURES):
        table.add_column(column, justify="right" if column else "left")
    for name, samples in levels.items():
        table.add_row(name, *(_level([one[n] for one in samples]) for n in range(len(MEASURES))))
    Console(width=100).print(table)
    click.echo(report.text())


def _level(values: list[float]) -> str:
    quarter = len(values) // 4 or 1
    before, after = mean(values[-2 * quarter : -quarter] or values), mean(values[-quarter:])
    return f"{before:.0f} → {after:.0f}"

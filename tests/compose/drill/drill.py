"""One drill: a load through Caddy by HTTPS, a fault in the middle of it, and what came of it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cluster.drill.history import AUDITOR, History
from cluster.drill.http import ApiStore
from cluster.drill.report import Report, gaps, summarise
from cluster.drill.workload import Load, Workload
from tests.compose.drill.accounts import one_account_per_shard
from tests.compose.drill.faults import Fault
from tests.compose.drill.servers import Servers
from tests.compose.stack import DOCKER, SERVERS, Stack, until

SHARDS = ("shard-1", "shard-2", "shard-3")
"""Faults of a shard concern the first."""
CLIENTS = 24
CALM = 30
"""Acknowledged writes on each shard before the fault, and again after it."""
WAIT = 30.0
"""Seconds that the writes may take to go on, on each shard."""
AFTERWARDS = 2.0
"""Seconds that the load goes on after the fault's end: what was lost meets what is found anew."""
CHECKS = 4
"""Health checks that are made at a time."""
HEALTHY = 60.0
"""Seconds in which every container is to pass its own health check, after the fault's end."""


@dataclass(frozen=True)
class Result:
    """What the consumers saw of a fault; `longest` request and `gaps` are in seconds, since it."""

    fault: str
    report: Report
    store: ApiStore
    longest: float
    gaps: dict[str, float]

    def row(self) -> str:
        """The line of the table of figures."""
        concerned, *others = (self.gaps[group] for group in SHARDS)
        return (
            f"| {self.fault} | {self.longest:.1f} s | {concerned:.1f} s | {max(others):.1f} s"
            f" | {sum(self.report.errors.values())} | {len(self.report.violations)} |"
        )


HEADER = (
    "| fault | longest request | gap of shard-1 | gap of the others | errors | lost or doubled |"
    "\n|---|---|---|---|---|---|"
)


@dataclass
class Drill:
    """Runs one fault after the other on a stack. `table` gets a line for each."""

    stack: Stack
    servers: Servers
    ca: Path
    table: list[str]

    def run(self, name: str, fault: Fault, service: str, lasts: float) -> Result:
        """Let the load run, break something for a while, and see that the writes go on."""
        accounts = one_account_per_shard(self.stack, self.servers, self.ca, SHARDS)
        store = ApiStore(self.stack.url, accounts, self.ca)
        load = Load(clients=CLIENTS, keys=CLIENTS)
        with contextlib.closing(store), Workload(store, load) as workload:
            try:
                _wait_for_writes(workload)
                workload.mark(name)
                with fault(self.stack, service):
                    workload.run(lasts)
                workload.mark("undone")
                undone = time.monotonic()
                _wait_for_writes(workload)
                workload.run(AFTERWARDS)
            finally:
                history = workload.finish()
                report = summarise(history)
                _tell(f"{name}: {service}", report, store)
        self.wait_healthy(undone + HEALTHY - time.monotonic())
        result = _result(name, report, store, history)
        self.table.append(result.row())
        return result

    def wait_healthy(self, seconds: float) -> None:
        """Wait until each container passes its own health check, made now.

        The engine makes them every 15 or 30 seconds; what it knows may be older than the fault.
        """
        left = list(SERVERS)
        said: dict[str, str] = {}

        def all_pass() -> bool:
            with ThreadPoolExecutor(CHECKS) as pool:
                said.update(zip(left, pool.map(self._ail, left), strict=True))
            left[:] = [service for service in left if said[service]]
            return not left

        until(all_pass, seconds, lambda: "\n".join(f"{name}: {said[name]}" for name in left))

    def _ail(self, service: str) -> str:
        """What a container's health check complains of; "" if it passes, or there is none."""
        check = self.stack.inspect(service)["Config"].get("Healthcheck", {}).get("Test", [])
        if not check:
            return ""
        command = [DOCKER, "exec", self.stack.container(service), *check[1:]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
        except subprocess.TimeoutExpired as error:
            return str(error)
        return f"{done.returncode}: {done.stdout}{done.stderr}" if done.returncode else ""


def _wait_for_writes(workload: Workload) -> None:
    for group in SHARDS:
        workload.wait_for_writes(CALM, group, WAIT)


def _result(name: str, report: Report, store: ApiStore, history: History) -> Result:
    """Figures without those of the start, when all consumers log in."""
    since = history.marks[0].at
    load = [call for call in history.calls if call.client != AUDITOR and call.end >= since]
    found = gaps(load, since, max(call.end for call in load))
    took = [one.took for one in store.exchanges if one.began + one.took >= since / 1e9]
    seconds = {group: gap.seconds for group, gap in found.items()}
    return Result(name, report, store, max(took), seconds)


def _tell(title: str, report: Report, store: ApiStore) -> None:
    """The figures, shown by -s and on failure."""
    print(f"\n{title}\n{report.text()}")  # noqa: T201
    for one in sorted(store.exchanges, key=lambda exchange: -exchange.took)[:5]:
        print(f"  {one.took:.3f} s {one.method} {one.path}: {one.status}")  # noqa: T201

"""The load generator: wrk, in a process of its own."""

import os
import resource
import shutil
import subprocess
from pathlib import Path

import click
import msgspec

from tests.bench.plans import Plan

SCRIPT = Path(__file__).with_name("requests.lua")
CONNECTIONS = 16
"""As many as the servers have threads: what is measured is work, not waiting in a queue."""
BUSIEST = 0.7
"""Share of a core above which the generator may be what limits a run."""


class Fired(msgspec.Struct):
    """What came of a run; latencies in milliseconds, `busy` in cores."""

    requests: int
    seconds: float
    failed: int
    broken: int
    p50: float
    p99: float
    busy: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def require() -> None:
    """Say so at once when there is no wrk."""
    if shutil.which("wrk") is None:
        raise click.ClickException("there is no wrk. Install it: apt-get install wrk")


def fire(url: str, plan: Plan, seconds: int, folder: Path, connections: int = CONNECTIONS) -> Fired:
    """One run. Raises ClickException if any answer was not 2xx, or the generator was too busy."""
    file = folder / "plan.lua"
    file.touch(mode=0o600)  # it holds tokens
    file.write_text(plan.as_lua())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    done = subprocess.run(
        [*command, "-s", str(SCRIPT), url],
        env={**os.environ, "BENCH_PLAN": str(file)},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
    )
    if done.returncode:
        raise click.ClickException(f"wrk failed: {done.stderr or done.stdout}")
    fired = msgspec.json.decode(done.stdout.splitlines()[-1], type=Fired)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    fired.busy = spent / fired.seconds
    if fired.failed or fired.broken or not fired.requests:
        raise click.ClickException(
            f"the run is void: of {fired.requests} requests to {url} {fired.failed} were answered"
            f" by an error, {fired.broken} not at all"
        )
    if fired.busy > BUSIEST:
        raise click.ClickException(f"wrk took {fired.busy:.0%} of a core: it limits the run")
    return fired

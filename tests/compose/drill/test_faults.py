"""Every kind of container crashes, stands still, falls silent, while consumers write through Caddy.

Whatever it is, it is latency to them: no answer of 500 or above and none missing, nothing lost,
nothing doubled; and afterwards every container is healthy by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from cluster.drill.judge.verdict import Reading, Status, judge, read
from cluster.drill.record import Expectation, What
from cluster.drill.running.faults import CutOff, Standstill
from cluster.drill.running.runner import Options, run
from cluster.drill.running.scenario import Fault, Scenario, Stage
from cluster.drill.running.stores import Through
from cluster.drill.running.view import Lines
from cluster.drill.targets.compose import ComposeTarget
from cluster.drill.targets.target import Ability
from tests.compose.drill.faults import Crash, Disconnection
from tests.compose.stack import SERVERS, Stack, until

pytestmark = pytest.mark.timeout(300)  # on a busy machine, the stack alone takes 100

CLIENTS = 24
LASTS = 8.0
"""Seconds that a server stands still or is cut off: longer than its peers take to notice."""
REPLICA_LASTS = 14.0
"""For an API replica: longer than Caddy waits for an answer before it asks the other one.

If a replica is cut off from the database for just as long as its requests' deadline (10 s), and
found again before Caddy gives it up (11 s), its consumers get a 503, as they would without Caddy.
"""
CRASHED = 3.0
"""Seconds that are watched after a crash: the container may be back in one."""
CHECKS = 4
"""Health checks that are made at a time."""
HEALTHY = 60.0
"""Seconds in which every container is to pass its own health check, once all is whole."""
FOUND = 120.0
"""Seconds in which the engine is to find every container healthy; it asks every 30 or 60 s."""

WHO: dict[str, Callable[[Stage], str]] = {
    "a shard's primary": lambda stage: stage.primary(stage.shard()),
    "a shard's secondary": lambda stage: stage.secondary(stage.shard()),
    "the config servers' primary": lambda stage: stage.primary("cfg"),
    "a router of two": lambda _: "router-1",
    "an API replica of two": lambda _: "api-1",
}
HAPPENS = ("crashes", "stands still", "is silent", "is disconnected")


def fault(stack: Stack, who: str, what: str, stage: Stage) -> Fault:
    """What happens to whom."""
    service = WHO[who](stage)
    if what == "crashes":
        return Crash(stage, stack, service, who)
    if what == "stands still":
        return Standstill(stage, [service], who)
    if what == "is silent":
        return CutOff(stage, service, who)
    return Disconnection(stage, stack, service, who)


CORE = {"a shard's primary crashes", "a router of two crashes", "an API replica of two crashes"}
"""Those that CI runs, too."""
CASES = [(who, what) for what in HAPPENS[:3] for who in WHO]
CASES += [(who, HAPPENS[3]) for who in ("a shard's primary", "an API replica of two")]


@pytest.mark.parametrize(
    ("who", "what"),
    [
        pytest.param(*case, marks=[pytest.mark.core] if " ".join(case) in CORE else [])
        for case in CASES
    ],
)
def test_a_fault_is_only_latency(
    stack: Stack,
    target: ComposeTarget,
    table: list[str],
    tmp_path: Path,
    *,
    who: str,
    what: str,
) -> None:
    if why := target.cannot(Ability.CUT):  # and so does a crash from outside
        pytest.skip(why)
    api, title = target.api(), f"{who} {what}"
    lasts = CRASHED if what == "crashes" else REPLICA_LASTS if "API" in who else LASTS
    scenario = Scenario(
        number=0,
        name="-".join(title.split()),
        title=title,
        hypothesis="It is only latency.",
        expectation=Expectation(errors=0),
        plan=partial(fault, stack, who, what),
        needs=(),
        read="",
        hold=lasts,
    )
    options = Options(seed=7, through=Through.API, api=api, clients=CLIENTS)
    run(target, scenario, options, tmp_path, Lines())
    done, verdict = read(tmp_path), judge(tmp_path)
    table.append(row(title, done))
    assert verdict.status is Status.PASSED, verdict.text()
    wait_healthy(target)


def row(title: str, done: Reading) -> str:
    """The line of the table of figures: of the calls since the fault."""
    (turn,) = done.cost.turns
    since = done.run.events_of(What.FAULT)[0].at
    longest = max(call.end - call.begin for call in done.history.calls if call.end >= since)
    others = max(group.outage for group in turn.others())
    errors = sum(done.cost.errors.values())
    return (
        f"| {title} | {longest / 1e9:.1f} s | {turn.outage:.1f} s | {others:.1f} s"
        f" | {errors} | {len(done.violations)} |"
    )


def wait_healthy(target: ComposeTarget) -> None:
    """Wait until each container passes its own health check, made now.

    The engine makes them every 15 or 30 seconds; what it knows may be older than the fault.
    """
    left = list(SERVERS)
    said: dict[str, str] = {}

    def all_pass() -> bool:
        with ThreadPoolExecutor(CHECKS) as pool:
            said.update(zip(left, pool.map(target.containers.ails, left), strict=True))
        left[:] = [service for service in left if said[service]]
        return not left

    until(all_pass, HEALTHY, lambda: "\n".join(f"{name}: {said[name]}" for name in left))


def test_the_engine_finds_everybody_healthy(stack: Stack) -> None:
    """By its own checks, made after all faults."""
    since = datetime.now(UTC)

    def ailing() -> list[str]:
        return [service for service in SERVERS if not found_healthy(stack, service, since)]

    until(lambda: not ailing(), FOUND, lambda: f"not found healthy: {ailing()}")


def found_healthy(stack: Stack, service: str, since: datetime) -> bool:
    """Whether the engine has made a check lately, and found nothing; true for who has none."""
    state = stack.inspect(service)["State"]
    if "Health" not in state:
        return bool(state["Running"])
    last = datetime.fromisoformat(state["Health"]["Log"][-1]["Start"])
    return state["Health"]["Status"] == "healthy" and last > since

"""Every kind of container crashes, stands still, falls silent, while consumers write through Caddy.

Whatever it is, it is latency to them: no answer of 500 or above and none missing, nothing lost,
nothing doubled; and afterwards every container is healthy by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.compose.drill.drill import SHARDS, Drill, Result
from tests.compose.drill.faults import Fault, crash, disconnection, silence, standstill
from tests.compose.drill.servers import Servers
from tests.compose.stack import SERVERS, Stack, until

pytestmark = pytest.mark.timeout(300)  # on a busy machine, the stack alone takes 100

GROUP = SHARDS[0]
CRASHED = 3.0
"""Seconds that are watched after a crash: the container may be back in one."""
LASTS = 8.0
"""Seconds that a server stands still or is cut off: longer than its peers take to notice."""
REPLICA_LASTS = 14.0
"""For an API replica: longer than Caddy waits for an answer before it asks the other one.

If a replica is cut off from the database for just as long as its requests' deadline (10 s), and
found again before Caddy gives it up (11 s), its consumers get a 503, as they would without Caddy.
"""
FOUND = 120.0
"""Seconds in which the engine is to find every container healthy; it asks every 30 or 60 s."""

WHO: dict[str, Callable[[Servers], str]] = {
    "a shard's primary": lambda servers: servers.primary(GROUP),
    "a shard's secondary": lambda servers: servers.secondary(GROUP),
    "the config servers' primary": lambda servers: servers.primary("cfg"),
    "a router of two": lambda _: "router-1",
    "an API replica of two": lambda _: "api-1",
}
WHAT: dict[str, Fault] = {"crashes": crash, "stands still": standstill, "is silent": silence}


def assert_only_latency(result: Result) -> None:
    """No error was seen; every acknowledged write is there once, in order; tokens were renewed."""
    assert result.report.errors == {}
    assert result.report.violations == []
    assert result.report.unverified == 0
    assert {exchange.status // 100 for exchange in result.store.exchanges} <= {2, 4}
    assert any(consumer.refreshes for consumer in result.store.consumers)


CORE = {"a shard's primary crashes", "a router of two crashes", "an API replica of two crashes"}
"""Those that CI runs, too."""


@pytest.mark.parametrize(
    ("who", "what"),
    [
        pytest.param(who, what, marks=[pytest.mark.core] if f"{who} {what}" in CORE else [])
        for what in WHAT
        for who in WHO
    ],
)
def test_a_fault_is_only_latency(drill: Drill, who: str, what: str) -> None:
    lasts = CRASHED if what == "crashes" else REPLICA_LASTS if "API" in who else LASTS
    assert_only_latency(drill.run(f"{who} {what}", WHAT[what], WHO[who](drill.servers), lasts))


def test_a_primary_that_comes_back_to_the_network(drill: Drill) -> None:
    """It is cut off by Docker, which its peers see, and may have another address afterwards."""
    primary = drill.servers.primary(GROUP)
    assert_only_latency(
        drill.run("a shard's primary is disconnected", disconnection, primary, LASTS)
    )


def test_an_api_replica_that_comes_back_to_the_network(drill: Drill) -> None:
    """Caddy finds it again."""
    name = "an API replica of two is disconnected"
    assert_only_latency(drill.run(name, disconnection, "api-1", REPLICA_LASTS))


def test_the_engine_finds_everybody_healthy(drill: Drill) -> None:
    """By its own checks, made after all faults."""
    since = datetime.now(UTC)

    def ailing() -> list[str]:
        return [service for service in SERVERS if not found_healthy(drill.stack, service, since)]

    until(lambda: not ailing(), FOUND, lambda: f"not found healthy: {ailing()}")


def found_healthy(stack: Stack, service: str, since: datetime) -> bool:
    """Whether the engine has made a check lately, and found nothing; true for who has none."""
    state = stack.inspect(service)["State"]
    if "Health" not in state:
        return bool(state["Running"])
    last = datetime.fromisoformat(state["Health"]["Log"][-1]["Start"])
    return state["Health"]["Status"] == "healthy" and last > since

"""What a failure costs, and that it loses nothing: 8 clients write w:majority while it happens."""

import signal

import pytest

from cluster.drill.report import Report
from cluster.drill.workload import Workload
from tests.local.drill.conftest import Drill, step_down

WATCHED = 3.5
"""Seconds to watch after a fault: longer than the gap may be."""

PAUSED = 8.0
"""Seconds for which a process that stands still does so."""


def assert_nothing_lost(report: Report) -> None:
    """Every acknowledged write is there once and in order, and no client saw an error."""
    assert report.violations == []
    assert report.errors == {}
    assert report.unverified == 0


def test_kill_of_a_shard_primary(drill: Drill) -> None:
    def fault(workload: Workload) -> None:
        primary = drill.cluster.primary("shard-1").name
        workload.mark(f"SIGKILL {primary}")
        drill.cluster.kill(primary)

    report = drill.run(fault, WATCHED)
    assert_nothing_lost(report)
    assert report.gaps["shard-1"].seconds <= drill.longest_gap
    assert report.gaps["shard-2"].seconds <= drill.longest_gap / 2


def test_step_down_of_a_shard_primary(drill: Drill) -> None:
    def fault(workload: Workload) -> None:
        primary = drill.cluster.primary("shard-2")
        workload.mark(f"step down {primary.name}")
        step_down(drill.cluster, primary)

    report = drill.run(fault, WATCHED)
    assert_nothing_lost(report)
    assert report.gaps["shard-2"].seconds <= drill.longest_gap


def test_kill_of_the_config_primary(drill: Drill) -> None:
    def fault(workload: Workload) -> None:
        primary = drill.cluster.primary("cfg").name
        workload.mark(f"SIGKILL {primary}")
        drill.cluster.kill(primary)

    report = drill.run(fault, WATCHED)
    assert_nothing_lost(report)
    assert report.gaps["all"].seconds <= drill.longest_gap


@pytest.mark.parametrize("router", ["router-1", "router-2"])
def test_kill_of_one_router_of_two(drill: Drill, router: str) -> None:
    def fault(workload: Workload) -> None:
        workload.mark(f"SIGKILL {router}")
        drill.cluster.kill(router)

    report = drill.run(fault, 2.0)
    assert_nothing_lost(report)
    assert report.gaps["all"].seconds <= drill.longest_gap


def test_a_shard_primary_that_stands_still(drill: Drill) -> None:
    """Calls in flight to it are given up once there is another primary, not when it wakes up."""

    def fault(workload: Workload) -> None:
        primary = drill.cluster.primary("shard-1").name
        workload.mark(f"SIGSTOP {primary}")
        drill.cluster.kill(primary, signal.SIGSTOP)
        workload.run(PAUSED)
        workload.mark(f"SIGCONT {primary}")
        drill.cluster.resume()

    report = drill.run(fault, 1.5)
    assert_nothing_lost(report)
    assert report.gaps["shard-1"].seconds < PAUSED / 2
    assert max(latency.longest for latency in report.latencies.values()) < PAUSED / 2 * 1000


def test_a_chunk_migration_during_the_load(drill: Drill) -> None:
    def fault(workload: Workload) -> None:
        for group, shard in [("shard-1", "shard-2"), ("shard-1", "shard-1")]:
            workload.mark(f"move {group}'s keys to {shard}")
            drill.move(group, shard)
            workload.mark("moved")
            workload.wait_for_writes(20, group, 20)

    report = drill.run(fault, 0.5)
    assert_nothing_lost(report)

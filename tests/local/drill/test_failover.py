"""What a failure costs, and that it loses nothing: 8 clients write w:majority while it happens."""

import signal

import pytest

from cluster.drill.judge.summary import Report
from cluster.drill.load.workload import Workload
from tests.helpers.drills import CALM, GOES_ON, SHARDS, Drill, held_up, step_down

pytestmark = [pytest.mark.long, pytest.mark.core]


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

    report = drill.run(fault)
    assert_nothing_lost(report)


def test_step_down_of_a_shard_primary(drill: Drill) -> None:
    def fault(workload: Workload) -> None:
        primary = drill.cluster.primary("shard-2")
        workload.mark(f"step down {primary.name}")
        step_down(drill.cluster, primary)

    report = drill.run(fault)
    assert_nothing_lost(report)


def test_kill_of_the_config_primary(drill: Drill) -> None:
    def fault(workload: Workload) -> None:
        primary = drill.cluster.primary("cfg").name
        workload.mark(f"SIGKILL {primary}")
        drill.cluster.kill(primary)

    report = drill.run(fault)
    assert_nothing_lost(report)


@pytest.mark.parametrize("router", ["router-1", "router-2"])
def test_kill_of_one_router_of_two(drill: Drill, router: str) -> None:
    def fault(workload: Workload) -> None:
        workload.mark(f"SIGKILL {router}")
        drill.cluster.kill(router)

    report = drill.run(fault)
    assert_nothing_lost(report)


def test_a_shard_primary_that_stands_still(drill: Drill) -> None:
    """Calls in flight to it are given up once there is another primary, not when it wakes up."""

    def fault(workload: Workload) -> None:
        primary = drill.cluster.primary("shard-1").name
        workload.mark("stopped")
        drill.cluster.kill(primary, signal.SIGSTOP)
        for shard in SHARDS:
            workload.wait_for_writes(10 * CALM, shard, GOES_ON)
        workload.mark("resumed")
        drill.cluster.resume()

    report = drill.run(fault)
    assert_nothing_lost(report)
    assert held_up(drill.history, "stopped", "resumed") == []


def test_a_chunk_migration_during_the_load(drill: Drill) -> None:
    def fault(workload: Workload) -> None:
        for group, shard in [("shard-1", "shard-2"), ("shard-1", "shard-1")]:
            workload.mark(f"move {group}'s keys to {shard}")
            drill.move(group, shard)
            workload.mark("moved")
            workload.wait_for_writes(20, group, 20)

    report = drill.run(fault)
    assert_nothing_lost(report)

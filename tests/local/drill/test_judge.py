"""The judge catches broken systems, each within five runs of a drill, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from cluster.drill.history import Guarantee
from cluster.drill.judge.verdict import Status, judge
from cluster.drill.load.mongo import MongoStore
from cluster.drill.running.runner import Options, run
from cluster.drill.running.scenario import chosen
from cluster.drill.running.view import Lines
from cluster.drill.targets.local import LocalTarget
from cluster.local.cluster import LocalCluster
from tests.helpers.clusters import cluster_of
from tests.local.drill.broken import BROKEN, Broken, catch

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SHAPE = {"shards": 1, "members": 3, "config_servers": 1, "routers": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster_of(tmp_path_factory.mktemp("judge"), **SHAPE) as cluster:
        yield cluster


def assert_possible(made: LocalCluster, scenario: str) -> None:
    (one,) = chosen([scenario])
    if why := one.why_not(LocalTarget(made), through_api=True):
        pytest.skip(why)


@pytest.mark.parametrize("one", BROKEN, ids=lambda one: one.name)
def test_a_broken_system_is_caught(made: LocalCluster, one: Broken, tmp_path: Path) -> None:
    assert_possible(made, one.scenario)
    assert catch(made.state.folder, one, tmp_path) is Status.BROKEN


@pytest.mark.parametrize("reads", [Guarantee.LINEARIZABLE, Guarantee.SESSION, Guarantee.MAJORITY])
def test_a_sound_one_is_not(made: LocalCluster, reads: Guarantee, tmp_path: Path) -> None:
    """Whatever its reads promise: where the broken ones lose most, nothing is lost."""
    assert_possible(made, "primary-parted")
    (scenario,) = chosen(["primary-parted"])
    options = Options(seed=7, make=partial(MongoStore, guarantee=reads))
    done = run(LocalTarget(made), scenario, options, tmp_path / "run", Lines())
    assert done.failed == ""
    verdict = judge(tmp_path / "run")
    assert verdict.status in (Status.PASSED, Status.MISSED)
    # Only where nothing promises otherwise do reads step back, and there they do.
    stepped = any("reads saw less than their client" in note for note in verdict.notes)
    assert stepped == (reads is Guarantee.MAJORITY)

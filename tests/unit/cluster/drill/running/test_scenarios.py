"""What every scenario declares, and how one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.drill.record import Expectation
from cluster.drill.running.scenario import Scenario, chosen, scenarios
from cluster.drill.targets.local import LocalTarget
from cluster.drill.targets.target import Ability
from cluster.errors import DrillError
from cluster.local.cluster import LocalCluster

CORE = {1, 2, 3, 4, 7, 10, 12, 13, 27}


def test_names_and_numbers_are_of_one_scenario_each() -> None:
    every = scenarios()
    assert len({one.name for one in every}) == len({one.number for one in every}) == len(every)
    assert {one.number for one in every if one.core} == CORE


@pytest.mark.parametrize("one", scenarios(), ids=lambda one: one.name)
def test_a_scenario_says_what_it_expects_and_what_to_read(one: Scenario) -> None:
    assert one.expectation != Expectation(), "it promises nothing"
    assert one.concerns in ("one", "all", "none")
    for text in (one.hypothesis, one.read):
        assert text.endswith("."), text
    assert not one.title.endswith(".")


def test_scenarios_are_chosen_by_name_number_and_set() -> None:
    assert [one.number for one in chosen(["12", "primary-killed", "1"])] == [12, 1]
    assert {one.number for one in chosen(["core"])} == CORE
    assert chosen(["all"]) == list(scenarios())
    with pytest.raises(DrillError, match="there is no scenario 'primary'"):
        chosen(["primary"])


def test_what_a_target_cannot_do_is_skipped_with_the_reason(tmp_path: Path) -> None:
    class Poor(LocalTarget):
        def cannot(self, ability: Ability) -> str:
            return "it has no packet filter" if ability is Ability.CUT else ""

    target = Poor(LocalCluster(tmp_path))
    cut_off, worker = chosen(["primary-cut-off", "api-worker-lost"])
    assert cut_off.why_not(target, through_api=False) == "it has no packet filter"
    assert "give --through api" in worker.why_not(target, through_api=False)
    assert worker.why_not(target, through_api=True) == ""

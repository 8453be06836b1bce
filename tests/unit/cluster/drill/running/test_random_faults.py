"""Random faults are those of their seed."""

from __future__ import annotations

import random
from typing import Any

from cluster.drill.running.scenario import Stage, chosen
from cluster.drill.running.watch import Watch
from cluster.drill.targets.local import LocalTarget

FAULTS = 40


def drawn(target: LocalTarget, seed: int, leader: int) -> list[tuple[str, str, float]]:
    """Scenario, shard and moment of each fault; `leader` is the place of who leads each set."""
    access = target.access()
    watch = Watch(access, lambda _: None)
    for one in access.layout.sets:
        watch.leads(one.name, one.members[leader].name, 1)
    nothing: Any = None
    chance = random.Random(seed)  # noqa: S311 - chance, and no secret
    stage = Stage(target, access.layout, nothing, watch, chance, 6.0, nothing, nothing)
    stage.shard()
    (scenario,) = chosen(["random-faults"])
    found = []
    for turn in range(FAULTS):
        stage.turn = turn
        scenario.plan(stage)
        mark = f" {turn + 1}" if turn else ""
        moment = stage.chance.uniform(0, 2)
        found.append((stage.drawn[f"fault{mark}"], stage.drawn[f"its shard{mark}"], moment))
    return found


def test_the_same_seed_gives_the_same_faults(target: LocalTarget) -> None:
    """Whoever leads by then, which no seed decides."""
    first = drawn(target, 7, 0)
    assert drawn(target, 7, 0) == first
    assert drawn(target, 7, 1) == first


def test_another_seed_gives_others_and_all_are_drawn(target: LocalTarget) -> None:
    first = drawn(target, 7, 0)
    assert drawn(target, 8, 0) != first
    assert len({name for name, _, _ in first}) >= 7

"""Droplets whose data may still be needed are not destroyed by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.errors import UndrainedError
from tests.helpers.digitalocean import DigitalOcean
from tests.helpers.stacks import Operator, notes

LARGE: dict[str, Any] = {"layout": "large", "shards": 4, "members": 1, "routers": 3}


def droplets(fake: DigitalOcean) -> set[str]:
    return {one["name"] for one in fake.of("droplets")}


def test_a_shard_that_nobody_has_drained(fake: DigitalOcean, operator: Operator) -> None:
    operator.wants(**LARGE).apply()
    before = droplets(fake)
    operator.wants(**{**LARGE, "shards": 2})
    for drained in ((), ("shard-4",), ("shard-1", "shard_3", "shard-4")):
        with pytest.raises(UndrainedError, match="the data of shard-3 may still be on it") as told:
            operator.apply(drained=drained)
        assert "apply --drained shard-3" in told.value.lines[-1]
        assert len(told.value.lines) == 2 - ("shard-4" in drained)
        assert droplets(fake) == before
    operator.apply(drained=["shard-3", "shard-4"])
    assert before - droplets(fake) == {"shop-shard-3-1", "shop-shard-4-1"}
    operator.apply()


def test_hosts_that_are_shared_lose_a_shard_without_a_droplet(
    fake: DigitalOcean, operator: Operator
) -> None:
    operator.apply()
    plan = operator.wants(shards=1).plan()
    assert (plan.changes, plan.removed_shards) == ([], ["shard-2"])
    assert "shard-2 is taken out" in plan.notes[0]
    with pytest.raises(UndrainedError):
        operator.apply()
    operator.apply(drained=["shard-2"])
    assert notes(operator.plan()) == []
    assert len(droplets(fake)) == 3


def test_it_is_known_from_the_droplets_alone(fake: DigitalOcean, operator: Operator) -> None:
    """As after an apply that was cut off before it remembered what it had made."""
    operator.wants(**LARGE).apply()
    fake.of("vpcs")[0]["description"] = "shardstack/1"
    with pytest.raises(UndrainedError, match="the data of shard-4"):
        operator.wants(**{**LARGE, "shards": 3}).apply()


def test_a_set_that_stays_keeps_its_members(fake: DigitalOcean, operator: Operator) -> None:
    operator.wants(layout="large").apply()
    before = droplets(fake)
    for wants, line in (
        ({"members": 1}, "shop-shard-1-2, shop-shard-1-3 would be destroyed, and shard-1 stays"),
        ({"config_servers": 1}, "and config stays.*Set config_servers back in stack.toml"),
    ):
        with pytest.raises(UndrainedError, match=line):
            operator.wants(layout="large", **wants).apply(drained=["shard-1", "shard-2", "config"])
        assert droplets(fake) == before


def test_what_holds_no_data_is_only_told(fake: DigitalOcean, operator: Operator) -> None:
    operator.wants(**LARGE).apply()
    plan = operator.wants(**{**LARGE, "routers": 2, "api_nodes": 1}).plan()
    assert plan.notes[0] == "shop-router-3, shop-api-2 would be destroyed, and hold no data"
    operator.apply(plan)
    assert not {"shop-router-3", "shop-api-2"} & droplets(fake)

"""A thousand droplets: how many requests they take, and that none is missed."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.show import show_plan
from tests.helpers.digitalocean import DigitalOcean
from tests.helpers.stacks import Operator, changes

NODES = {"config_servers": 7, "members": 7, "shards": 32, "routers": 32}
THOUSAND: dict[str, Any] = {"layout": "large", **NODES, "api_nodes": 1000 - 7 - 7 * 32 - 32 - 1}


def requests_of(fake: DigitalOcean, operator: Operator) -> int:
    before = len(fake.requests)
    assert operator.plan().changes == []
    return len(fake.requests) - before


@pytest.mark.long
@pytest.mark.core
def test_a_thousand_droplets(
    fake: DigitalOcean, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.droplet_limit = fake.volume_limit = 2000
    fake.polls = 0
    fake.judge = None  # what is sent of one, is judged elsewhere
    operator.wants(**THOUSAND).apply()
    assert len(fake.of("droplets")) == 1000
    few = Operator(fake, operator.base).wants(name="few", domain="few.example.com")
    assert requests_of(fake, operator) <= 30  # 13 lists, of which droplets have 5 pages
    assert operator.clock.seconds >= 60 * (len(fake.requests) // 250 - 1)

    for one in fake.of("droplets"):
        one["tags"].remove("shardstack-shop")
    fake.destroy_droplet("shop-shard-17-3")
    plan = operator.plan()
    assert len([one for one in changes(plan) if one.startswith("~ droplet")]) == 999
    assert "+ droplet shop-shard-17-3" in changes(plan)
    show_plan(plan)
    told = capsys.readouterr().out
    assert "(999 of them)" in told
    assert len(told.splitlines()) < 20
    assert few.wants(name="few", domain="few.example.com", vpc_range="10.30.0.0/20").plan()

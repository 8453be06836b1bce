"""Which droplets a layout has, and what runs on each."""

from __future__ import annotations

from deploy import applied
from deploy.layouts import group_names, hosts
from tests.helpers.stacks import stack

SHARED = ("config", "shard_1", "shard_2", "routers", "api", "edge")


def test_dev() -> None:
    (one,) = hosts(stack(layout="dev"))
    assert (one.name, one.groups) == ("shop-1", (*SHARED, "monitoring"))


def test_small() -> None:
    found = hosts(stack())
    assert [one.name for one in found] == ["shop-1", "shop-2", "shop-3"]
    assert [one.groups for one in found] == [(*SHARED, "monitoring"), SHARED, SHARED]
    assert [one.number for one in found] == [1, 2, 3]


def test_large() -> None:
    found = {one.name: one for one in hosts(stack(layout="large", members=5))}
    assert list(found) == [
        *(f"shop-config-{n}" for n in (1, 2, 3)),
        *(f"shop-shard-{s}-{n}" for s in (1, 2) for n in (1, 2, 3, 4, 5)),
        *(f"shop-router-{n}" for n in (1, 2)),
        *(f"shop-api-{n}" for n in (1, 2)),
        "shop-monitoring-1",
    ]
    assert found["shop-shard-2-4"].groups == ("shard_2",)
    assert found["shop-api-1"].groups == ("api", "edge")
    with_data = {name for name, one in found.items() if one.volume_gib}
    assert with_data == {name for name in found if "config" in name or "shard" in name}


def test_every_group_is_listed() -> None:
    for layout in ("dev", "small", "large"):
        one = stack(layout=layout)
        assert {group for host in hosts(one) for group in host.groups} == {*group_names(one)}


def test_what_was_applied_fits_into_a_description() -> None:
    """DigitalOcean allows 255 characters."""
    widest = stack(
        name="a" * 30,
        layout="large",
        edge="load_balancer",
        shards=32,
        routers=32,
        api_nodes=1000,
        shard_volume_gib=16384,
        config_volume_gib=16384,
    )
    assert len(applied.note(widest)) <= 255


def test_what_was_applied_is_recalled() -> None:
    before = stack(layout="large")
    now = stack(layout="large", shards=4, admin_addresses=["198.51.100.0/24"])
    changed = applied.recall(applied.note(before), now)
    assert changed is not None
    assert changed["shards"] == ("2", "4")
    assert set(changed) == {"shards", "admin_addresses"}
    assert applied.stack_then(now, changed).shards == 2
    assert applied.recall(applied.note(now), now) == {}
    assert applied.recall("by hand", now) is None

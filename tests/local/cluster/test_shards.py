"""Shards come and go without losing a document."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.lifecycle.remove_shard import drain
from cluster.local.cluster import LocalCluster
from tests.helpers.routers import connect
from tests.local.cluster.small import SMALL, client_of, error_of, run, running_pids

pytestmark = [pytest.mark.long, pytest.mark.core]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[LocalCluster]:
    """Two shards of one member each."""
    local = LocalCluster(tmp_path / "state")
    try:
        local.up(**SMALL | {"shards": 2})
        yield local
    finally:
        local.down(purge=True)


def test_shard_is_removed_under_writes_and_another_added(two: LocalCluster) -> None:
    with client_of(two) as admin:
        admin.admin.command("enableSharding", "app", primaryShard="shard-1")
        admin.admin.command("shardCollection", "app.docs", key={"_id": "hashed"})
        docs = admin["app"]["docs"]
        docs.insert_many([{"_id": n} for n in range(2000)])
        admin["app"]["unsharded"].insert_many([{"_id": n} for n in range(100)])
        admin.admin.command("balancerStop")
        done = threading.Event()
        written = []

        def write() -> None:
            while not done.is_set():
                docs.insert_one({"_id": 10_000 + len(written)})
                written.append(len(written))

        writer = threading.Thread(target=write)
        writer.start()
        said: list[str] = []
        try:
            two.remove_shard("shard-1", report=said.append)
        finally:
            done.set()
            writer.join()
        assert len(written) > 10
        assert {doc["_id"] for doc in docs.find()} == (
            {*range(2000)} | {10_000 + n for n in written}
        )
        assert admin["app"]["unsharded"].count_documents({}) == 100
        assert [s["_id"] for s in admin.admin.command("listShards")["shards"]] == ["shard-2"]
        assert admin.admin.command("balancerStatus")["mode"] == "off"
    assert "shard-1: removed from the cluster" in said
    assert any("moving the database app to shard-2" in line for line in said)
    assert not two.state.node("shard-1-1").exists()
    assert sorted(running_pids(two)) == ["config-1", "router-1", "shard-2-1"]
    assert "shard-2 is the last shard" in error_of(run(two, "remove-shard", "shard-2"))

    added = run(two, "add-shard")
    assert added.returncode == 0, added.stderr
    assert "shard-3 is part of the cluster." in added.stdout
    with client_of(two) as admin:
        names = {s["_id"] for s in admin.admin.command("listShards")["shards"]}
        assert names == {"shard-2", "shard-3"}
        assert admin["app"]["docs"].count_documents({}) == 2000 + len(written)


def test_every_router_goes_on_when_what_it_knew_of_a_removed_shard_has_moved(
    two: LocalCluster,
) -> None:
    two.up(routers=2)
    routers = [connect(two, node.port) for node in two.nodes() if node.kind == "router"]
    with routers[0] as first, routers[1] as second:
        first.admin.command("enableSharding", "app", primaryShard="shard-2")
        for number, client in enumerate((first, second)):
            client["app"]["unsharded"].insert_one({"_id": number})
        two.remove_shard("shard-2")
        for number, client in enumerate((first, second), start=2):
            client["app"]["unsharded"].insert_one({"_id": number})
            assert client["app"]["unsharded"].count_documents({}) == number + 1


def test_interrupted_removal_goes_on(two: LocalCluster) -> None:
    """`up` neither adds the leaving shard again nor forgets it; `remove-shard` finishes."""
    record = two.record()
    record.leaving.append("shard-2")
    two.state.save(record)
    drain(two.uri(), "shard-2", lambda _: None)
    two.up()
    with client_of(two) as admin:
        assert [s["_id"] for s in admin.admin.command("listShards")["shards"]] == ["shard-1"]
    two.remove_shard("shard-2")
    assert two.record().shards == ["shard-1"]
    assert not two.state.node("shard-2-1").exists()


def test_routers_and_shards_follow_the_topology(two: LocalCluster) -> None:
    two.up(routers=2, shards=3)
    assert {"router-2", "shard-3-1"} <= set(running_pids(two))
    assert two.uri().count("127.0.0.1:") == 2
    two.up(routers=1)
    assert "router-2" not in running_pids(two)
    assert not two.state.node("router-2").exists()
    assert two.uri().count("127.0.0.1:") == 1

"""The exporter on a real cluster: what dashboards ask for is there, whatever is down."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from cluster.exporter import holdings, watcher
from cluster.exporter.server import MOST_STREAMS
from cluster.local.cluster import LocalCluster
from tests.helpers.clusters import cluster_of
from tests.helpers.figures import ASKED_FOR
from tests.local.cluster.small import client_of, error_of, run
from tests.local.exporter.exporting import exporting, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]
SHAPE = {"shards": 1, "members": 3, "config_servers": 1, "routers": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster_of(tmp_path_factory.mktemp("exporter"), **SHAPE) as local:
        yield local


@pytest.fixture
def whole(made: LocalCluster) -> LocalCluster:
    """Whole again whatever the test before did to it."""
    made.up()
    return made


def pid_of(local: LocalCluster, name: str) -> int:
    [pid] = [node.pid for node in local.nodes() if node.name == name and node.pid]
    return pid


@pytest.mark.core
def test_what_dashboards_and_rules_ask_for_is_there(whole: LocalCluster) -> None:
    with client_of(whole) as client:
        client.admin.command("enableSharding", "seen")
        client.admin.command("shardCollection", "seen.things", key={"_id": 1})
        client["seen"]["things"].insert_one({"n": 1})
    with exporting(whole) as exporter:

        def missing() -> list[str]:
            return sorted(set(ASKED_FOR) - set(exporter.samples()))

        # What is held is asked in the background.
        until(lambda: not missing(), lambda: f"missing: {missing()}")
        servers = {one.name for one in whole.nodes()}
        assert {s.labels["service_name"] for s in exporter.samples()["mongodb_up"]} == servers
        assert exporter.value("shardstack_set_survives_losses", set="shard-1") == 1
        assert exporter.value("mongodb_rs_members_health", member_state="PRIMARY", set="cfg") == 1
        things = {"database": "seen", "collection": "things", "rs_state": "1"}
        assert exporter.value("mongodb_collstats_storageStats_count", **things) == 1
        picture = exporter.picture()
        assert picture["problems"] == []
        assert picture["balancer"] == "on"
        assert [one["name"] for one in picture["shards"]] == ["shard-1"]
        assert all(one["up"] for one in picture["routers"])
        [shard] = [one for one in picture["sets"] if one["name"] == "shard-1"]
        assert all(one["storage_bytes"] > 4096 for one in shard["members"])
        assert all(one["queues"].keys() == {"readers", "writers"} for one in shard["members"])
        elected = {one["set"] for one in picture["timeline"] if one["kind"] == "election"}
        assert elected == {"cfg", "shard-1"}
        assert exporter.value("shardstack_set_elected_timestamp_seconds", set="shard-1") > 0


def test_two_connections_to_a_server_at_most(whole: LocalCluster) -> None:
    """While several ask together, and what is held is asked in the background."""
    with exporting(whole) as exporter:
        process, most = psutil.Process(exporter.process.pid), 0
        for _ in range(3):
            asking = [threading.Thread(target=exporter.get, args=("/metrics",)) for _ in range(4)]
            for one in asking:
                one.start()
            for one in asking:
                one.join()
            servers = {node.port for node in whole.nodes()}
            ports = [one.raddr.port for one in process.net_connections("tcp") if one.raddr]
            most = max(most, *(ports.count(port) for port in servers))
        assert 1 <= most <= 2


@pytest.mark.core
def test_a_member_that_stands_still_holds_nothing_up(whole: LocalCluster) -> None:
    primary, began = whole.primary("shard-1").name, time.time()
    with exporting(whole) as exporter:
        assert exporter.picture()["problems"] == []
        stopped = psutil.Process(pid_of(whole, primary))
        stopped.suspend()
        try:

            def another() -> bool:
                [shard] = [one for one in exporter.picture()["sets"] if one["name"] == "shard-1"]
                return shard["primary"] not in (None, primary)

            until(another, lambda: "no other primary is shown")
            assert exporter.value("mongodb_up", service_name=primary) == 0
            assert exporter.value("shardstack_set_survives_losses", set="shard-1") == 0
            assert exporter.value("shardstack_set_has_primary", set="shard-1") == 1
            news = [one for one in exporter.picture()["timeline"] if one["at"] >= began]
            told = {(one["kind"], one["set"], one["text"].partition(":")[0]) for one in news}
            assert ("down", "shard-1", f"{primary} does not answer") in told
            assert {"down", "election"} <= {kind for kind, _, _ in told}
            told = exporter.picture()["problems"]
            assert "shard-1 survives no further loss" in told
            assert any(line.startswith(f"{primary}: ") for line in told)
        finally:
            stopped.resume()
        until(lambda: not exporter.picture()["problems"], lambda: "it is not well again")
        assert f"{primary} answers again" in [one["text"] for one in exporter.picture()["timeline"]]


def test_without_config_servers_or_a_majority(whole: LocalCluster) -> None:
    with exporting(whole) as exporter:
        whole.kill("config-1")
        for name in ("shard-1-1", "shard-1-2"):
            whole.kill(name)

        def noticed() -> bool:
            return exporter.value("shardstack_set_has_primary", set="shard-1") == 0

        until(noticed, lambda: "the loss is not shown")
        samples = exporter.samples()
        assert "mongodb_mongos_sharding_shards_total" not in samples
        assert exporter.value("shardstack_set_has_majority", set="shard-1") == 0
        assert exporter.value("mongodb_up", service_name="shard-1-3") == 1
        picture = exporter.picture()
        lost = {
            one["text"].partition(":")[0] for one in picture["timeline"] if one["kind"] == "down"
        }
        assert {
            f"{name} does not answer" for name in ("config-1", "shard-1-1", "shard-1-2")
        } <= lost
        assert picture["shards"] is None
        assert "shard-1 has no primary: it takes no writes" in picture["problems"]
        whole.up()
        until(lambda: not exporter.picture()["problems"], lambda: "it is not well again")


def test_streams(whole: LocalCluster) -> None:
    """Pictures come by themselves; one stream too many is refused; the end ends them."""
    with exporting(whole) as exporter, contextlib.ExitStack() as stack:
        url = f"{exporter.url}/status.stream"
        streams = [
            stack.enter_context(requests.get(url, stream=True, timeout=20))
            for _ in range(MOST_STREAMS)
        ]
        lines = (line for line in streams[0].iter_lines() if line)
        first, second = (json.loads(next(lines).removeprefix(b"data: ")) for _ in range(2))
        assert first["at"] < second["at"]
        refused = requests.get(url, timeout=20)
        assert (refused.status_code, "Close one" in refused.text) == (503, True)
        exporter.process.send_signal(signal.SIGTERM)
        assert exporter.process.wait(20) == 0
        assert not list(streams[0].iter_lines())[-1]


def test_nonsense(whole: LocalCluster, tmp_path: Path) -> None:
    with exporting(whole) as exporter:
        missing = requests.get(f"{exporter.url}/nothing", timeout=20)
    assert (missing.status_code, "/status.json" in missing.text) == (404, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = error_of(run(whole, "exporter", "--port", str(port)))
    assert f"cannot listen at 127.0.0.1:{port}" in said
    assert "Give another --port" in said
    assert "no cluster" in error_of(run(LocalCluster(tmp_path / "none"), "exporter"))


def test_a_new_shard_is_taken_over(whole: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "RENEWED_SECONDS", 0.0)
    monkeypatch.setattr(watcher, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(holdings, "EVERY_SECONDS", 0.1)
    with contextlib.closing(watcher.Watcher(whole.access)) as watching:
        before = [view.replica_set.name for view in watching.snapshot().sets]
        name = whole.add_shard(None, report=lambda _: None, phase=lambda _: None)

        def names() -> list[str]:
            return [view.replica_set.name for view in watching.snapshot().sets]

        until(lambda: names() == [*before, name], lambda: f"there are {names()}")
        assert all(one.answers for one in watching.snapshot().servers)

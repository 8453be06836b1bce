"""Each query of both dashboards returns data, from a Prometheus that reads a cluster and an API."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
import requests
from bson import Timestamp

from cluster.backup.manifest import Manifest, write_manifest
from cluster.drill.judge.verdict import read
from cluster.drill.report.results import results, write
from cluster.local.cluster import LocalCluster
from tests.helpers.api import RunningServer, apply_schema, environment_of, make_person, running
from tests.helpers.clusters import cluster_of
from tests.local.cluster.small import client_of
from tests.local.exporter.exporting import exporting, until
from tests.local.exporter.prometheus import ROOT, Prometheus, prometheus_on
from tests.unit.cluster.drill.runs import Model, leave

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]
SHAPE = {"shards": 1, "members": 3, "config_servers": 1, "routers": 1}
TOKEN = "a-token-of-the-test"
WITHOUT = {
    "The first certificate ends in": "a cluster of processes has no TLS; test_certificate.py has",
    "drills": "a drill begins before its report is there, and half a minute is over; the figure is "
    "asked for below",
}
"""Panels and marks that ask for what does not happen here, and why."""


def asked() -> dict[str, list[str]]:
    """The queries of both dashboards, by panel or kind of marks."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "deploy/monitoring/dashboards").glob("*.json")):
        board = json.loads(file.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            assert panel["title"] not in found
            found[panel["title"]] = [one["expr"] for one in panel["targets"]]
        for mark in board["annotations"]["list"]:
            # It is true for a moment, so that it is asked whether it ever was.
            found[mark["name"]] = [f"last_over_time(({mark['expr']})[5m:1s])"]
    return found


def use(api: RunningServer) -> None:
    """Requests of each kind: that work, that find a value taken, that the server itself refuses."""
    person = make_person()
    for _ in range(2):  # the second one is refused: the address is taken
        requests.post(f"{api.url}/api/v1/auth/signup", json=person, timeout=20)
    requests.get(f"{api.url}/api/v1/nothing", timeout=20)
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as line:
        line.sendall(b"this is no request\r\n\r\n")
        assert b" 400 " in line.recv(100)


def leave_backup_and_drill(local: LocalCluster) -> None:
    """As a dump and a drill do, in the exporter's folders."""
    backup = local.state.folder / "backups/monday"
    backup.mkdir(parents=True)
    write_manifest(backup, Manifest(Timestamp(1_700_000_000, 1), "8.0", {}, {}, []))
    run = read(leave(local.state.folder / "drills/1", Model().run()))
    write(run.folder, results(run))


def step_down(local: LocalCluster) -> None:
    """Let a shard elect another primary."""
    primary = local.primary("shard-1")
    access = local.access()
    with access.connections() as connections:
        connections.member(primary).admin.command("replSetStepDown", 5, force=True)


def test_each_query_returns_data(tmp_path: Path) -> None:
    with cluster_of(tmp_path, **SHAPE) as local:
        leave_backup_and_drill(local)
        environment = environment_of(local.uri("app"), tmp_path, METRICS_TOKEN=TOKEN)
        apply_schema(environment)
        with (
            exporting(local) as exporter,
            running(environment, tmp_path / "api.log") as api,
            prometheus_on(tmp_path / "p", exporter.url, api.url, TOKEN) as prometheus,
        ):
            until(
                lambda: len(prometheus.query("up == 1")) == 2,
                lambda: f"not up: {prometheus.ask('targets')}",
            )
            step_down(local)

            def empty() -> list[str]:
                use(api)
                with client_of(local) as client:
                    client["seen"]["things"].insert_one({})
                return _empty(prometheus)

            until(lambda: not empty(), lambda: f"no data: {_empty(prometheus)}")
            assert prometheus.query("shardstack_drill_timestamp_seconds")
            wrong = [title for title in WITHOUT if title not in asked()]
            assert wrong == []


def _empty(prometheus: Prometheus) -> list[str]:
    """The panels with a query that returns nothing, or nothing but NaN."""
    return [
        title
        for title, queries in asked().items()
        if title not in WITHOUT
        for query in queries
        if not _has_data(prometheus.query(query.replace("$__rate_interval", "30s")))
    ]


def _has_data(series: list[Any]) -> bool:
    return any(one["value"][1] != "NaN" for one in series)

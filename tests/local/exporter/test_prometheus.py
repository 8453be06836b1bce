"""A real Prometheus reads the exporter, with our rules: queries return data, alerts fire."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.helpers.api import free_port
from tests.helpers.clusters import cluster_of
from tests.local.exporter.exporting import exporting, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
RULES = Path(__file__).parents[3] / "cluster/exporter/alerts.yml"
SHAPE = {"shards": 1, "members": 3, "config_servers": 1, "routers": 1}
CONFIG = """
global: {{scrape_interval: 3s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: shardstack
    honor_labels: true
    static_configs: [{{targets: ["{target}"]}}]
"""
QUERIES = (
    # From alert rules that many use.
    (
        'mongodb_rs_members_optimeDate{member_state="PRIMARY"} - on (set) group_right '
        'mongodb_rs_members_optimeDate{member_state="SECONDARY"}'
    ),
    (
        "sum(avg(mongodb_mongod_replset_oplog_head_timestamp "
        "- mongodb_mongod_replset_oplog_tail_timestamp))"
    ),
    (
        'mongodb_ss_connections{conn_type="current"} / ignoring (conn_type) '
        '(mongodb_ss_connections{conn_type="current"} '
        '+ ignoring (conn_type) mongodb_ss_connections{conn_type="available"})'
    ),
    'mongodb_ss_metrics_cursor_open{csr_type="total"}',
    "increase(mongodb_ss_metrics_cursor_timedOut[1m])",
    # In the manner of PMM's panels.
    'sum by (rs_nm) (rate(mongodb_op_counters_total{cluster="shardstack",type!="command"}[1m]))',
    "avg by (op_type) (rate(mongodb_ss_opLatencies_latency[1m]))",
    "max by (service_name) (mongodb_mongod_replset_my_state)",
    (
        "min by (service_name, mongodb) (mongodb_mongos_sharding_shards_total "
        "* on (service_name) group_left (mongodb) mongodb_version_info)"
    ),
    "time() - max(mongodb_mongod_replset_member_election_date)",
    "max by (set) (max_over_time(mongodb_mongod_replset_member_replication_lag[1m]))",
    "max(mongodb_mongos_sharding_balancer_enabled)",
)


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **parameters: str) -> Any:
        try:
            answer = requests.get(f"{self.url}/{path}", params=parameters, timeout=20)
        except requests.ConnectionError:
            return None  # it is still starting
        return answer.json()["data"] if answer.ok else None

    def query(self, text: str) -> list[Any]:
        found = self.ask("query", query=text)
        return [] if found is None else list(found["result"])

    def firing(self) -> set[str]:
        found = self.ask("alerts")
        alerts = [] if found is None else found["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}


@contextlib.contextmanager
def prometheus_on(target: str, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that reads one exporter."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("there is no prometheus (apt-get install prometheus)")
    (folder / "prometheus.yml").write_text(CONFIG.format(rules=RULES, target=target))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(30)


def test_queries_return_data_and_alerts_fire(tmp_path: Path) -> None:
    (tmp_path / "prometheus").mkdir()
    with (
        cluster_of(tmp_path, **SHAPE) as local,
        exporting(local) as exporter,
        prometheus_on(exporter.url.removeprefix("http://"), tmp_path / "prometheus") as prometheus,
    ):

        def empty() -> list[str]:
            return [text for text in QUERIES if not prometheus.query(text)]

        until(lambda: not empty(), lambda: f"no data: {empty()}")
        assert [one["value"][1] for one in prometheus.query("up")] == ["1"]
        assert prometheus.firing() == set()
        for name in ("shard-1-1", "shard-1-2"):
            local.kill(name)
        wanted = {"SetWithoutPrimary", "SetWithoutMajority", "MemberMissing"}
        until(
            lambda: wanted <= prometheus.firing(),
            lambda: f"only these fire: {prometheus.firing()}",
        )
        local.up()
        until(lambda: not prometheus.firing(), lambda: f"still firing: {prometheus.firing()}")

"""A real Prometheus reads the exporter, with our rules: queries return data, alerts fire."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.clusters import cluster_of
from tests.local.exporter.exporting import exporting, until
from tests.local.exporter.prometheus import prometheus_on

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
SHAPE = {"shards": 1, "members": 3, "config_servers": 1, "routers": 1}
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


def test_queries_return_data_and_alerts_fire(tmp_path: Path) -> None:
    with (
        cluster_of(tmp_path, **SHAPE) as local,
        exporting(local) as exporter,
        prometheus_on(tmp_path / "prometheus", exporter.url) as prometheus,
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

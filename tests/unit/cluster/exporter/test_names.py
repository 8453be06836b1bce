"""Names of figures: those that dashboards know, each once, in a text that Prometheus reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from bson.timestamp import Timestamp
from prometheus_client.parser import text_string_to_metric_families

from cluster.exporter.names import Figure, figures, text, written


def found(path: str, document: dict[str, Any]) -> dict[str, float]:
    """By name and label, without the labels of the server."""
    own = 'a="b"'
    return {
        f"{one.name}{{{one.labels.removeprefix(own).lstrip(',')}}}": one.value
        for one in figures(path, document, own)
    }


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (
            {"opcounters": {"insert": 4}},
            {
                'mongodb_ss_opcounters{legacy_op_type="insert"}': 4,
                'mongodb_op_counters_total{type="insert"}': 4,
            },
        ),
        (
            {"connections": {"current": 7}},
            {
                'mongodb_ss_connections{conn_type="current"}': 7,
                'mongodb_connections{state="current"}': 7,
            },
        ),
        (
            {"globalLock": {"currentQueue": {"readers": 2}, "activeClients": {"readers": 1}}},
            {
                'mongodb_ss_globalLock_currentQueue{count_type="readers"}': 2,
                'mongodb_mongod_global_lock_current_queue{type="reader"}': 2,
                "mongodb_ss_globalLock_activeClients_readers{}": 1,
            },
        ),
        (
            {"opLatencies": {"reads": {"ops": 3, "latency": 9}}},
            {
                'mongodb_ss_opLatencies_ops{op_type="reads"}': 3,
                'mongodb_ss_opLatencies_latency{op_type="reads"}': 9,
            },
        ),
        (
            {"metrics": {"queryExecutor": {"scanned": 5}}},
            {
                "mongodb_ss_metrics_queryExecutor_scanned{}": 5,
                'mongodb_mongod_metrics_query_executor_total{state="scanned"}': 5,
            },
        ),
        (
            {"wiredTiger": {"transaction": {"transaction checkpoints": 1}, "cache": {"a (b)": 2}}},
            {"mongodb_ss_wt_txn_transaction_checkpoints{}": 1, "mongodb_ss_wt_cache_a_b{}": 2},
        ),
        (
            {"wiredTiger": {"concurrentTransactions": {"read": {"out": 6}}}},
            {'mongodb_ss_wt_concurrentTransactions_out{txn_rw="read"}': 6},
        ),
        ({"metrics": {"commands": {"find": {"total": 0, "failed": 0}}}}, {}),
        ({"uptime": True, "host": "h", "list": [1, 2]}, {"mongodb_ss_uptime{}": 1}),
    ],
)
def test_names_of_a_servers_state(document: dict[str, Any], wanted: dict[str, float]) -> None:
    assert found("serverStatus", document) == wanted


@pytest.fixture
def _far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's time zone is another one than the servers' dates."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_far_east")
def test_members_of_a_set() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    given = at.replace(tzinfo=None)  # as the driver does
    member = {"name": "m:1", "stateStr": "PRIMARY", "health": 1, "optimeDate": given}
    member["electionTime"] = Timestamp(77, 1)
    who = 'member_idx="m:1",member_state="PRIMARY"'
    assert found("replSetGetStatus", {"myState": 1, "members": [member]}) == {
        "mongodb_rs_myState{}": 1,
        f"mongodb_rs_members_health{{{who}}}": 1,
        f"mongodb_rs_members_optimeDate{{{who}}}": at.timestamp() * 1000,
        f"mongodb_rs_members_electionTime{{{who}}}": 77,
    }


def test_what_is_not_a_number_is_left_out() -> None:
    assert found("serverStatus", {"uptime": float("nan"), "x": None, "mem": {"bits": "64"}}) == {}


def test_the_text_is_read_as_it_was_meant() -> None:
    """Also where labels hold what the format escapes, and a figure comes twice."""
    hostile = 'a"b\\c\nd'
    given = [
        Figure("one", written({"x": hostile}), 1),
        Figure("two", "", 2.5),
        Figure("one", written({"x": "y"}), 1e12),
        Figure("one", written({"x": "y"}), 3),
    ]
    families = list(text_string_to_metric_families(text(given)))
    assert [one.name for one in families] == ["one", "two"]
    assert [(s.labels, s.value) for one in families for s in one.samples] == [
        ({"x": hostile}, 1.0),
        ({"x": "y"}, 1e12),
        ({}, 2.5),
    ]

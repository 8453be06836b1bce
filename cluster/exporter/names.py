"""Figures have the names that percona/mongodb_exporter gives them, so that dashboards find them.

A name is the path of a figure in the answer of a command, shortened at its beginning and joined by
underscores. In some documents the last key is a label instead. Some panels of PMM ask by the names
of years ago; such a figure has both. (Names: mongodb_exporter 0.53, and the panels that read them.)

    serverStatus.opcounters.insert     mongodb_ss_opcounters{legacy_op_type="insert"}
                                       mongodb_op_counters_total{type="insert"}
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from bson.timestamp import Timestamp

Labels = Mapping[str, str]


class Figure(NamedTuple):
    """A figure under its name; `labels` as they are written, without braces."""

    name: str
    labels: str
    value: float


PREFIXES = (
    ("serverStatus.wiredTiger.transaction", "ss_wt_txn"),
    ("serverStatus.wiredTiger", "ss_wt"),
    ("serverStatus.queues.execution", "ss_wt_concurrentTransactions"),
    ("serverStatus", "ss"),
    ("replSetGetStatus", "rs"),
    ("oplog.wiredTiger", "oplog_stats_wt"),
    ("oplog", "oplog_stats"),
)
"""How paths begin, and names; the first that fits counts."""

KEYS = {
    "serverStatus.asserts": "assert_type",
    "serverStatus.connections": "conn_type",
    "serverStatus.globalLock.currentQueue": "count_type",
    "serverStatus.metrics.cursor.open": "csr_type",
    "serverStatus.metrics.document": "doc_op_type",
    "serverStatus.opcounters": "legacy_op_type",
    "serverStatus.opcountersRepl": "legacy_op_type",
    "serverStatus.opReadConcernCounters": "concern_type",
    "serverStatus.transactions.commitTypes": "commit_type",
    "serverStatus.wiredTiger.perf": "perf_bucket",
}
"""Documents whose keys become the value of this label."""

INNER_KEYS = {
    "serverStatus.opLatencies": ("op_type", ("ops", "latency")),
    "serverStatus.queues.execution": ("txn_rw", ("out", "available", "totalTickets")),
    "serverStatus.wiredTiger.concurrentTransactions": (
        "txn_rw",
        ("out", "available", "totalTickets"),
    ),
}
"""Documents of documents: the outer keys become the value of a label, for these inner keys."""

FORMER = {
    "mongodb_ss_opcounters": ("mongodb_op_counters_total", "type"),
    "mongodb_ss_connections": ("mongodb_connections", "state"),
    "mongodb_ss_metrics_document": ("mongodb_mongod_metrics_document_total", "state"),
    "mongodb_ss_globalLock_currentQueue": ("mongodb_mongod_global_lock_current_queue", "type"),
    "mongodb_dbstats_collections": ("mongodb_mongod_db_collections_total", ""),
    "mongodb_ss_metrics_queryExecutor_scanned": (
        "mongodb_mongod_metrics_query_executor_total",
        'state="scanned"',
    ),
    "mongodb_ss_metrics_queryExecutor_scannedObjects": (
        "mongodb_mongod_metrics_query_executor_total",
        'state="scanned_objects"',
    ),
}
"""By name, the one of years ago, with what its label was called, or with the whole label."""

FORMER_VALUES = {"readers": "reader", "writers": "writer"}
"""Values of labels that were other ones under the former names."""

SPARSE = ("serverStatus.metrics.commands.", "serverStatus.metrics.aggStageCounters.",
          "serverStatus.metrics.operatorCounters.")  # fmt: skip
"""Documents with a key for all that a server could ever do: what it never did is left out."""

LEFT_OUT = re.compile(r"^serverStatus\.(metrics\.apiVersions|.*histograms?\b|\$)").search

_unfit = re.compile(r"[^a-zA-Z0-9_]+")
_escaped = re.compile(r'[\\"\n]')
_escapes = {"\\": r"\\", '"': r"\"", "\n": r"\n"}


def written(labels: Labels) -> str:
    """Labels as they are written in the text format of Prometheus."""
    return ",".join(f'{name}="{_text(value)}"' for name, value in labels.items())


def _text(value: str) -> str:
    return _escaped.sub(lambda found: _escapes[found[0]], value)


def figures(path: str, document: Mapping[str, Any], labels: str) -> Iterator[Figure]:
    """All figures in a command's answer. `path`: which command it was; `labels` are written."""
    for key, value in document.items():
        inner = f"{path}.{key}"
        if isinstance(value, Mapping):
            yield from figures(inner, value, labels)
        elif isinstance(value, list):
            yield from _members(inner, value, labels)
        elif (number := _number(value)) is not None and (number or not inner.startswith(SPARSE)):
            for name, more in _names(inner):
                yield Figure(name, f"{labels},{more}" if more else labels, number)


def _members(path: str, items: Iterable[Any], labels: str) -> Iterator[Figure]:
    """Of a list, the documents that say who they are about: the members of a set."""
    for item in items:
        if isinstance(item, Mapping) and "name" in item and "stateStr" in item:
            who = written({"member_idx": item["name"], "member_state": item["stateStr"]})
            yield from figures(path, item, f"{labels},{who}")


def _number(value: Any) -> float | None:
    """A value as a figure: dates are milliseconds since 1970, timestamps of the oplog seconds."""
    if isinstance(value, bool | int | float):
        return None if isinstance(value, float) and math.isnan(value) else value
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).timestamp() * 1000  # the driver leaves it out
    return value.time if isinstance(value, Timestamp) else None


@lru_cache(maxsize=16384)
def _names(path: str) -> tuple[tuple[str, str], ...]:
    """The names of the figure at a path, each with the label that its path makes."""
    if LEFT_OUT(path):
        return ()
    outer, _, key = path.rpartition(".")
    if outer in KEYS:
        return _with_former(_name(outer), KEYS[outer], key)
    outermost, _, middle = outer.rpartition(".")
    if outermost in INNER_KEYS and key in INNER_KEYS[outermost][1]:
        return _with_former(_name(f"{outermost}.{key}"), INNER_KEYS[outermost][0], middle)
    return _with_former(_name(path), "", "")


def _with_former(name: str, label: str, value: str) -> tuple[tuple[str, str], ...]:
    now = (name, written({label: value}) if label else "")
    if name not in FORMER:
        return (now,)
    former, was = FORMER[name]
    if label and was:
        was = written({was: FORMER_VALUES.get(value, value)})
    return (now, (former, was))


def _name(path: str) -> str:
    for begins, short in PREFIXES:
        if path.startswith(f"{begins}."):
            path = short + path.removeprefix(begins)
            break
    return "mongodb_" + re.sub("__+", "_", _unfit.sub("_", path)).strip("_")


def text(found: Iterable[Figure]) -> str:
    """Figures in the text format of Prometheus: all of one name together, none of them twice."""
    by_name: dict[str, dict[str, float]] = {}
    for figure in found:
        by_name.setdefault(figure.name, {}).setdefault(figure.labels, figure.value)
    lines = []
    for name, values in by_name.items():
        lines.append(f"# TYPE {name} untyped")
        for labels, value in values.items():
            lines.append(f"{name}{{{labels}}} {float(value)!r}" if labels else f"{name} {value}")
    return "\n".join([*lines, ""])

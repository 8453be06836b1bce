"""What a drill sees of a cluster, and when it stops: without servers."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson import ObjectId

from cluster.drill.history import Progress
from cluster.drill.record import Event, What
from cluster.drill.running import guard as guards
from cluster.drill.running.guard import Guard, StoppedError
from cluster.drill.running.view import Picture, bars
from cluster.drill.running.watch import Elected, Watch, term_of
from cluster.drill.targets.local import LocalTarget
from cluster.drill.targets.target import Note, drop_note, read_note, write_note
from cluster.errors import StateError


def test_the_newest_primary_counts_and_is_told_once(target: LocalTarget) -> None:
    told: list[Elected] = []
    watch = Watch(target.access(), told.append)
    assert watch.primary("shard-1") is None
    watch.leads("shard-1", "shard-1-1", 3)
    watch.leads("shard-1", "shard-1-1", 3)
    watch.leads("shard-1", "shard-1-2", 4)  # while the old one still believes in itself
    assert watch.primary("shard-1") == "shard-1-2"
    watch.leads("shard-1", "shard-1-1", 3)
    assert watch.primary("shard-1") == "shard-1-2"
    watch.leads_not("shard-1", "shard-1-2")
    watch.leads_not("shard-1", "shard-1-1")
    assert watch.primary("shard-1") is None
    assert watch.term("shard-1") == 4
    assert set(watch.without_primary()) == {"cfg", "shard-1", "shard-2"}
    assert [(one.node, one.term) for one in told] == [("shard-1-1", 3), ("shard-1-2", 4)]


def test_a_term_is_the_end_of_the_election_id() -> None:
    assert term_of(ObjectId("7fffffff000000000000002a")) == 42


def test_a_run_is_stopped_when_most_calls_fail(target: LocalTarget) -> None:
    watch = _leading(target)
    guard = Guard(target, watch, errors_allowed=False, bereft=1)
    guard.check(Progress(100, 0, {}))
    guard.check(Progress(150, 20, {}))  # few
    with pytest.raises(StoppedError, match="60 of 100 calls"):
        guard.check(Progress(200, 60, {}))
    Guard(target, watch, errors_allowed=True, bereft=1).check(Progress(200, 160, {}))


def test_a_run_is_stopped_when_a_second_shard_is_without_a_primary(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = _leading(target)
    monkeypatch.setattr(guards, "PATIENCE", 0.0)
    guard = Guard(target, watch, errors_allowed=False, bereft=1)
    watch.leads_not("shard-1", "shard-1-1")
    guard.check(Progress(1, 0, {}))
    watch.leads_not("shard-2", "shard-2-1")
    with pytest.raises(StoppedError, match=r"no primary .*: shard-1, shard-2"):
        guard.check(Progress(1, 0, {}))


def test_a_run_is_stopped_when_the_disk_is_almost_full(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard(target, _leading(target), errors_allowed=False, bereft=1)
    monkeypatch.setattr(target, "free_mib", lambda: 12)
    with pytest.raises(StoppedError, match="12 MiB"):
        guard.check(Progress(1, 0, {}))


def _leading(target: LocalTarget) -> Watch:
    """A watch that has seen a primary of every set."""
    watch = Watch(target.access(), lambda _: None)
    for name, node in (("cfg", "config-1"), ("shard-1", "shard-1-1"), ("shard-2", "shard-2-1")):
        watch.leads(name, node, 1)
    return watch


def test_a_note_is_kept_until_it_is_dropped(target: LocalTarget) -> None:
    assert read_note(target) is None
    write_note(target, Note("primary-killed", "now", 1, ["SIGKILL to shard-1-1"]))
    found = read_note(target)
    assert found is not None
    assert found.deeds == ["SIGKILL to shard-1-1"]
    (target.folder / "note.json").write_text("{")
    with pytest.raises(StateError, match=r"note\.json cannot be read"):
        read_note(target)
    drop_note(target)
    assert read_note(target) is None


def test_a_cluster_that_does_not_run_is_unfit(target: LocalTarget) -> None:
    assert target.unfit() == ["the cluster does not run"]


def test_only_the_log_lines_of_a_run_are_kept(target: LocalTarget, tmp_path: Path) -> None:
    node = target.cluster.state.node("shard-1-1")
    node.mkdir(parents=True)
    lines = [
        '{"t":{"$date":"2026-01-01T10:00:00.000+00:00"},"s":"I","msg":"before"}',
        '{"t":{"$date":"2026-01-01T10:00:05.000+00:00"},"s":"I","msg":"within"}',
        "a line without a time belongs to the one before it",
        '{"t":{"$date":"2026-01-01T11:00:09.000+01:00"},"s":"I","msg":"within, too"}',
        '{"t":{"$date":"2026-01-01T10:00:11.000+00:00"},"s":"I","msg":"after"}',
    ]
    (node / "log").write_text("\n".join([*lines, ""]))
    moments = (datetime(2026, 1, 1, 10, 0, second, tzinfo=UTC) for second in (3, 10))
    target.save_logs(tmp_path / "logs", *moments)
    kept = (tmp_path / "logs" / "shard-1-1.log").read_text().splitlines()
    assert kept == lines[1:4]


def test_bars_show_what_is_small_and_leave_nothing_blank() -> None:
    assert bars([]) == ""
    assert bars([0, 1, 50, 100]) == " ▁▄█"


def test_a_picture_has_sets_throughput_and_events() -> None:
    from rich.console import Console  # noqa: PLC0415

    picture = Picture()
    now = time.monotonic_ns()
    picture.event(Event(now + 10**9, What.FAULT, "SIGKILL to shard-1-1"), now)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(picture.picture({"shard-1": None, "shard-2": "shard-2-1"}))
    text = console.export_text()
    for part in ("shard-2-1", "none", "1.000 s  fault     SIGKILL to shard-1-1"):
        assert part in text

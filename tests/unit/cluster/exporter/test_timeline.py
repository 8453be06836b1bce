"""The timeline: what happened is told once, in the order of time, as long as it is news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cluster.exporter import timeline
from cluster.exporter.kept import Backup, Kept, Run
from cluster.exporter.snapshot import Change, Snapshot
from cluster.exporter.timeline import LAST_SECONDS, Timeline
from tests.unit.cluster.exporter.snapshots import AT, MOMENT, member, missing, snapshot


def told(after: Snapshot) -> list[tuple[float, str, str]]:
    return [(one.at - AT, one.kind, one.text) for one in after.timeline]


def test_a_failover() -> None:
    line = Timeline()
    first, second = member("shard-1-1", elected=AT - 60), member("shard-1-2")
    was = (-60.0, "election", "shard-1-1 was elected, in term 7")
    assert told(line.add(snapshot(first, second))) == [was]
    down = (10.0, "down", "shard-1-1 does not answer: timed out")
    assert told(line.add(snapshot(missing("shard-1-1"), second, at=AT + 10))) == [was, down]
    second = member("shard-1-2", elected=AT + 12)
    after = line.add(snapshot(missing("shard-1-1"), second, at=AT + 13, changes=None))
    new = (12.0, "election", "shard-1-2 was elected, in term 7")
    assert told(after) == [was, down, new]
    assert {one.set_name for one in after.timeline} == {"shard-1"}
    back = line.add(snapshot(member("shard-1-1", up_seconds=5), second, at=AT + 30))
    assert told(back) == [was, down, new, (25.0, "up", "shard-1-1 was started again")]
    assert told(line.add(snapshot(member("shard-1-1", 6), second, at=AT + 31))) == told(back)


def test_a_server_that_was_silent_or_restarted_between_two_looks() -> None:
    line = Timeline()
    line.add(snapshot(member("shard-1-1", 1000), member("shard-1-2", 1000)))
    line.add(snapshot(missing("shard-1-1"), member("shard-1-2", 1005), at=AT + 5))
    after = line.add(snapshot(member("shard-1-1", 1010), member("shard-1-2", 2), at=AT + 10))
    assert told(after)[1:] == [
        (8.0, "up", "shard-1-2 was started again"),
        (10.0, "up", "shard-1-1 answers again"),
    ]


def moved(seconds: float, **more: str) -> Change:
    details = {"from": "shard-1", "to": "shard-2", **more}
    return Change(MOMENT - timedelta(seconds=seconds), "moveChunk.commit", "a.b", details)


def test_what_the_config_servers_noted() -> None:
    added = Change(MOMENT - timedelta(hours=1), "addShard", "", {"name": "shard-2"})
    start = Change(MOMENT, "moveChunk.start", "a.b", {})
    changes = [start, moved(1), moved(2), moved(300, to="shard-3"), added]
    line = Timeline()
    after = line.add(snapshot(member("shard-1-1"), changes=changes))
    expected = [
        (-3600.0, "shard", "shard-2 was added"),
        (-300.0, "migration", "a chunk of a.b moved from shard-1 to shard-3"),
        (-1.0, "migration", "2 chunks of a.b moved from shard-1 to shard-2"),
    ]
    at = {text: seconds for seconds, _, text in told(after)}
    assert [text for _, _, text in told(after)] == [text for _, _, text in expected]
    assert at[expected[1][2]] == -300.0
    # What was known stays known while no config server answers.
    assert told(line.add(snapshot(member("shard-1-1"), changes=None))) == told(after)


def test_backups_and_drills() -> None:
    taken = datetime.fromtimestamp(AT - 100, UTC)
    began = datetime.fromtimestamp(AT - 50, UTC)
    run = Run(began, "primary-killed", "A primary is killed", "local", 0, "passed", "1")
    kept = Kept((Backup(taken, "monday"),), (run,))
    after = Timeline().add(snapshot(member("shard-1-1"), kept=kept))
    assert told(after) == [
        (-100.0, "backup", "backup monday"),
        (-50.0, "drill", "drill: A primary is killed: passed"),
    ]


def test_it_is_bounded() -> None:
    line, count = Timeline(), timeline.MOST + 5
    for second in range(count):
        line.add(snapshot(member("shard-1-1", elected=AT + second), at=AT + second))
    changes = [moved(60 * minute) for minute in range(count)]
    after = line.add(snapshot(member("shard-1-1", elected=AT), changes=changes, at=AT + count))
    kinds = [one.kind for one in after.timeline]
    assert (kinds.count("election"), kinds.count("migration")) == (timeline.MOST, timeline.MOST)
    assert after.timeline[-1].at == AT + count - 1
    late = line.add(snapshot(missing("shard-1-1"), at=AT + LAST_SECONDS + count))
    assert [one.kind for one in late.timeline] == ["down"]

"""What the report counts, and how it says so."""

import json

import pytest
from msgspec.structs import replace

from cluster.drill.history import AUDITOR, Call, History, Mark, Outcome
from cluster.drill.judge.summary import Gap, latency, summarise
from tests.unit.cluster.drill.histories import append, delete, insert, read

MS = 1_000_000


def ms(call: Call, group: str = "one") -> Call:
    """The call, its nanoseconds taken for milliseconds."""
    return replace(call, begin=call.begin * MS, end=call.end * MS, group=group)


CALLS = [
    ms(insert(0, 100, "a")),
    ms(insert(0, 200, "z", key="l"), "two"),
    ms(append(100, 300, "b")),
    ms(append(300, 2300, "c", outcome=Outcome.UNKNOWN, error="AutoReconnect: closed")),
    ms(append(2300, 2400, "d")),
    ms(read(2410, 2500, "a", "b", "d")),
]
AUDIT = ms(read(9000, 9900, "a", "b", "d", client=AUDITOR))


def test_calls_are_counted_by_kind_and_outcome() -> None:
    found = summarise(History([*CALLS, AUDIT]))
    assert found.counts == {
        "append": {"ok": 2, "unknown": 1},
        "insert": {"ok": 2},
        "read": {"ok": 1},
    }
    assert found.acknowledged_writes == 4
    assert found.errors == {"AutoReconnect: closed": 1}
    assert found.seconds == 2.5


def test_gaps_are_measured_overall_and_for_each_group() -> None:
    found = summarise(History([*CALLS, AUDIT]))
    assert found.gaps["one"] == Gap(2.1, 0.3)
    assert found.gaps["all"] == Gap(2.1, 0.3)
    # From its only write to the end of the load: a group that never comes back shows.
    assert found.gaps["two"] == Gap(2.3, 0.2)


def test_a_group_without_any_acknowledged_write_is_one_long_gap() -> None:
    calls = [CALLS[0], ms(append(0, 5000, "x", outcome=Outcome.UNKNOWN, key="m"), "three")]
    assert summarise(History(list(calls))).gaps["three"] == Gap(5.0, 0.0)


def test_what_nothing_looked_for_is_counted() -> None:
    assert summarise(History(list(CALLS))).unverified == 1  # the key l has no read
    later = ms(append(9950, 9960, "e"))
    assert summarise(History([*CALLS, AUDIT, later])).unverified == 2


@pytest.mark.parametrize(
    ("values", "p50", "p99", "longest"),
    [([5.0], 5.0, 5.0, 5.0), ([float(n) for n in range(100)], 50.0, 99.0, 99.0)],
)
def test_percentiles(values: list[float], p50: float, p99: float, longest: float) -> None:
    found = latency(values)
    assert (found.count, found.p50, found.p99, found.longest) == (len(values), p50, p99, longest)


def test_the_text_tells_everything() -> None:
    lost = ms(append(500, 600, "y"))
    history = History([*CALLS, lost, AUDIT, Mark(400 * MS, "SIGKILL shard-1-1")])
    text = summarise(history).text()
    assert "5 acknowledged writes in 2.5 s" in text
    assert "at 0.400 s: SIGKILL shard-1-1" in text
    assert "append: 3 ok, 1 unknown" in text
    assert "longest gap between acknowledged writes, one: 1.800 s, from 0.600 s on" in text
    assert "client errors: 1\n  1 times AutoReconnect: closed" in text
    assert "acknowledged writes that nothing looked for: 1" in text
    assert 'lost: k: the append of "y" by client 0 (0.500 to 0.600 s, acknowledged)' in text


def test_the_json_form_is_plain() -> None:
    found = summarise(History([*CALLS, ms(delete(2600, 2700, "a"))])).as_json()
    assert json.loads(json.dumps(found)) == found | {"marks": []}
    assert {violation["rule"] for violation in found["violations"]} == {"lost"}


def test_nothing_at_all() -> None:
    found = summarise(History())
    assert (found.seconds, found.acknowledged_writes, found.violations) == (0, 0, [])

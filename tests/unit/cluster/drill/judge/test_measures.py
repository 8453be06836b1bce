"""What a fault cost, measured on runs whose costs are known."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cluster.drill.history import Call, History, Kind, Outcome
from cluster.drill.judge.measures import Period, distribution, kind_of, measure
from cluster.drill.record import Run, What
from tests.unit.cluster.drill.runs import (
    EVENTS,
    FAULT,
    LENGTH,
    OUTAGE,
    RUN,
    Model,
    event,
    nanoseconds,
)


def write(begin: float, end: float, group: str = "shard-1", **more: object) -> Call:
    """An acknowledged append, its times in seconds."""
    token = f"{group}-{begin}"
    call = Call(
        0, Kind.APPEND, group, nanoseconds(begin), nanoseconds(end), Outcome.OK, token, group=group
    )
    return replace(call, **more)


def events(*more: tuple[float, What]) -> Run:
    return replace(RUN, events=tuple(event(at, what, what.value) for at, what in more))


def test_a_simulated_run_costs_what_the_model_says() -> None:
    (turn,) = measure(RUN, Model().run()).turns
    assert turn.groups["shard-1"].outage == pytest.approx(OUTAGE, abs=0.2)
    assert turn.groups["shard-1"].again == pytest.approx(OUTAGE, abs=0.1)
    assert turn.groups["shard-2"].outage < 0.4
    assert (turn.groups["shard-1"].concerned, turn.groups["shard-2"].concerned) == (True, False)
    assert turn.outage == turn.groups["shard-1"].outage
    assert (turn.fault, turn.elected, turn.undone, turn.whole) == (FAULT, 1.4, 2.0, 3.0)
    assert (turn.until, turn.elections, turn.detected) == (FAULT + 3, 1, None)
    assert turn.groups["shard-1"].late[Period.DURING] == 2  # its two clients, both held up
    assert turn.groups["shard-2"].late == dict.fromkeys(Period, 0)
    assert turn.groups["shard-1"].latencies[Period.DURING].longest > OUTAGE * 900
    assert turn.groups["shard-1"].latencies[Period.BEFORE].longest < 50


def test_a_pause_counts_from_the_last_write_before_the_fault() -> None:
    calls = [write(0.0, 0.1), write(0.9, 1.0), write(3.0, 3.1), write(3.2, 3.3)]
    (turn,) = measure(events((2.0, What.FAULT), (4.0, What.WHOLE)), History(list(calls))).turns
    cost = turn.groups["shard-1"]
    assert (cost.outage, cost.since, cost.again) == pytest.approx((2.1, 1.0, 1.1))


def test_a_pause_that_was_over_before_the_fault_does_not_count() -> None:
    calls = [write(0.0, 0.1), write(2.8, 2.9), write(3.1, 3.2), write(3.3, 3.4)]
    (turn,) = measure(events((3.0, What.FAULT), (3.3, What.WHOLE)), History(list(calls))).turns
    assert turn.groups["shard-1"].outage == pytest.approx(0.3)


def test_a_group_that_never_comes_back_is_away_until_the_end() -> None:
    calls = [write(0.0, 0.1), write(0.0, 9.0, "shard-2")]
    run = events((1.0, What.FAULT), (2.0, What.UNDONE))
    (turn,) = measure(run, History(list(calls))).turns
    cost = turn.groups["shard-1"]
    assert (cost.outage, cost.again) == (pytest.approx(8.9), None)
    assert turn.until == 2.0


def test_what_follows_when_a_scenario_tidies_up_is_no_cost() -> None:
    calls = [write(0.0, 0.1), write(1.0, 1.3), write(2.2, 2.3), write(8.0, 9.0)]
    seen = [(1.0, What.FAULT), (2.0, What.WHOLE), (2.5, What.TIDY), (3.0, What.PRIMARY)]
    (turn,) = measure(events(*seen), History(list(calls))).turns
    assert (turn.groups["shard-1"].outage, turn.elections) == (pytest.approx(1.2), 0)
    assert Period.AFTER in turn.groups["shard-1"].latencies
    (turn,) = measure(events(*seen[:2], seen[3]), History(list(calls))).turns
    assert turn.elections == 1


def test_a_concerned_group_without_a_call_is_away_all_the_time() -> None:
    calls = [write(0.0, 5.0, "shard-2")]
    (turn,) = measure(events((1.0, What.FAULT)), History(list(calls))).turns
    assert turn.groups["shard-1"].outage == 5.0


def test_a_call_that_was_on_its_way_belongs_to_the_fault() -> None:
    calls = [write(0.5, 0.6), write(0.9, 1.1), write(1.9, 2.3), write(2.5, 2.6)]
    (turn,) = measure(events((1.0, What.FAULT), (2.0, What.WHOLE)), History(list(calls))).turns
    counts = {p: late.count for p, late in turn.groups["shard-1"].latencies.items()}
    assert counts == {Period.BEFORE: 1, Period.DURING: 2, Period.AFTER: 1}


def test_a_call_that_was_due_in_the_fault_belongs_to_it() -> None:
    late = write(2.5, 2.6, due=nanoseconds(1.5))
    (turn,) = measure(
        events((1.0, What.FAULT), (2.0, What.WHOLE)), History([write(0, 0.1), late])
    ).turns
    assert turn.groups["shard-1"].latencies[Period.DURING].longest == pytest.approx(1100)
    assert turn.groups["shard-1"].late == {Period.BEFORE: 0, Period.DURING: 1, Period.AFTER: 0}


def test_turns_are_measured_each_by_itself() -> None:
    away = (("shard-1", 2.0, 3.0), ("shard-2", 6.0, 8.0))
    history = Model(away=away).run(10.0)
    second = [replace(e, turn=1, at=e.at + 4_000_000_000) for e in EVENTS]
    second[2] = replace(second[2], set_name="shard-2")
    cost = measure(replace(RUN, events=(*EVENTS, *second), concerned=()), history)
    one, two = cost.turns
    assert one.groups["shard-1"].outage == pytest.approx(1.0, abs=0.2)
    assert one.groups["shard-2"].outage < 0.4
    assert two.groups["shard-2"].outage == pytest.approx(2.0, abs=0.2)
    assert two.groups["shard-1"].outage < 0.4
    assert (one.elections, two.elections) == (1, 1)
    assert cost.outages is not None
    assert cost.outages.values == (one.outage, two.outage)


def test_elections_count_each_term_of_a_set_once_and_not_what_was_before() -> None:
    def primary(at: float, name: str, term: int) -> object:
        return event(at, What.PRIMARY, set_name=name, term=term)

    known = (primary(0.1, "shard-1", 1), primary(0.1, "cfg", 4))
    new = (primary(3.0, "shard-1", 2), primary(3.1, "shard-1", 2), primary(3.2, "shard-1", 3))
    again = (primary(3.3, "cfg", 4),)
    run = replace(RUN, events=(*known, event(1, What.FAULT), *new, *again))
    (turn,) = measure(run, Model().run()).turns
    assert (turn.elections, turn.elected) == (2, 2.0)


def test_errors_are_counted_by_status_or_name() -> None:
    bad = {"outcome": Outcome.UNKNOWN}
    calls = [
        write(0.0, 0.1),
        write(1.0, 1.1, **bad, error="ApiError: PATCH was answered 503: not known"),
        write(1.2, 1.3, **bad, error="ApiError: PATCH was answered 503: too late"),
        write(1.4, 1.5, **bad, error="AutoReconnect: connection closed"),
        write(0.3, 0.4, **bad, error="NotYet: before the fault"),
    ]
    cost = measure(events((0.9, What.FAULT)), History(list(calls)))
    assert cost.errors == {"503": 2, "AutoReconnect": 1, "NotYet": 1}
    assert cost.turns[0].errors == {"503": 2, "AutoReconnect": 1}
    assert kind_of("") == "no reason given"


def test_the_rate_is_that_until_the_first_fault() -> None:
    history = Model().run()
    cost = measure(RUN, history)
    calm = [c for c in history.calls if c.end <= nanoseconds(FAULT)]
    assert cost.rate == pytest.approx(len(calm) / FAULT)
    assert cost.seconds == pytest.approx(LENGTH, abs=0.2)


def test_nothing_at_all() -> None:
    cost = measure(replace(RUN, events=()), History())
    assert (cost.calls, cost.turns, cost.outages) == (0, (), None)


def test_a_distribution_has_its_values_in_order() -> None:
    found = distribution(float(n) for n in (3, 1, 2, 9, 5, 4, 7, 6, 8, 10))
    assert found is not None
    assert found.values == tuple(float(n) for n in range(1, 11))
    assert (found.median, found.p90, found.worst) == (5.5, 9.0, 10.0)
    assert distribution([]) is None

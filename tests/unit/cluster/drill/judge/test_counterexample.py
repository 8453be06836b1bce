"""The smallest counterexample is one, and small."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.drill.history import Call, Guarantee, History, Kind, Outcome
from cluster.drill.judge.checker import check
from cluster.drill.judge.counterexample import remainder, smallest
from tests.unit.cluster.drill.histories import (
    append,
    delete,
    history,
    insert,
    linearizable,
    read,
    read_nothing,
    valid_calls,
    wrong_calls,
)


def fewest(calls: Sequence[Call]) -> list[Call]:
    whole = history(*calls)
    return smallest(whole, check(whole)[0])


def test_what_has_nothing_to_do_with_it_is_left_out() -> None:
    a, b, c = insert(0, 10, "a"), append(20, 30, "b"), append(40, 50, "c")
    missing = read(80, 90, "a", "c")
    others = [read(100 + n, 200, "a", "c") for n in range(40)]
    found = fewest([a, b, c, missing, *others])
    assert found[:2] == [a, b]
    assert len(found) == 3
    assert found[2] in [missing, *others]


def test_a_delete_that_explains_something_is_not_left_out() -> None:
    a, b = insert(0, 10, "a"), append(20, 30, "b")
    gone = delete(40, 50, "a")
    found = fewest([a, b, gone, read_nothing(60, 70)])
    assert found == [a, b, gone]


@pytest.mark.parametrize("long", [30, 120])
def test_a_long_history_is_shrunk_as_well(long: int) -> None:
    calls = [insert(0, 1, "t0")]
    calls += [append(10 * n, 10 * n + 5, f"t{n}") for n in range(1, long)]
    tokens = [f"t{n}" for n in range(long) if n != 7]
    found = fewest([*calls, read(10 * long, 10 * long + 5, *tokens)])
    assert [(c.kind, c.token) for c in found] == [
        (Kind.INSERT, "t0"),
        (Kind.APPEND, "t7"),
        (Kind.READ, ""),
    ]


def test_the_writer_on_another_key_is_part_of_it() -> None:
    foreign = insert(0, 10, "z", key="other")
    found = fewest([insert(0, 10, "a"), append(20, 30, "b"), foreign, read(40, 50, "a", "b", "z")])
    assert foreign in found


@settings(deadline=None, max_examples=300)
@given(wrong_calls())
def test_the_smallest_is_wrong_too(calls: list[Call]) -> None:
    whole = history(*calls)
    found = smallest(whole, check(whole)[0])
    rest = remainder(calls, found)
    assert rest is not None
    assert not linearizable(rest)


@settings(deadline=None, max_examples=300)
@given(valid_calls(), st.data())
def test_nothing_is_wrong_with_a_part_of_what_is_right(
    calls: list[Call], data: st.DataObject
) -> None:
    kept = [call for call in calls if data.draw(st.booleans())]
    rest = remainder(calls, kept)
    assert rest is None or check(History(list(rest))) == []


def test_a_local_read_is_shown_like_any_other() -> None:
    a, b = insert(0, 10, "a"), append(20, 30, "b")
    local = read(40, 50, "a", guarantee=Guarantee.LOCAL)
    unknown = append(32, 35, "c", outcome=Outcome.UNKNOWN)
    assert fewest([a, b, unknown, local]) == [a, b, local]

"""The checker against random histories: valid ones pass, and what was spoilt in one is found."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.drill.history import Call, Kind, Outcome, State
from cluster.drill.judge.checker import Rule, check
from tests.unit.cluster.drill.histories import (
    append,
    arbitrary_calls,
    claimed_calls,
    delete,
    history,
    insert,
    linearizable,
    read,
    tried_again,
    valid_calls,
)

Tokens = tuple[str, ...]

unhurried = settings(deadline=None)
"""How long an example takes is the machine's affair."""


def rules(calls: list[Call]) -> set[Rule]:
    return {violation.rule for violation in check(history(*calls))}


def in_all(calls: list[Call], change: Callable[[Tokens], Tokens]) -> list[Call]:
    """The same calls, every list they saw changed alike."""
    return [replace(c, state=_state(change(c.state.tokens))) if c.state else c for c in calls]


def in_last(calls: list[Call], tokens: Tokens) -> list[Call]:
    """The same calls, the auditor's read at the end having seen these tokens."""
    return [*calls[:-1], replace(calls[-1], state=_state(tokens))]


def audited(calls: list[Call]) -> Tokens:
    assert calls[-1].state is not None
    return calls[-1].state.tokens


def _state(tokens: Tokens) -> State:
    return State(tokens, len(tokens))


@unhurried
@given(valid_calls())
def test_what_a_correct_store_answers_passes(calls: list[Call]) -> None:
    assert check(history(*calls)) == []


@unhurried
@given(valid_calls(audited=True))
def test_an_audited_history_passes(calls: list[Call]) -> None:
    assert check(history(*calls)) == []


@settings(deadline=None, max_examples=1000)
@given(arbitrary_calls())
def test_the_verdict_is_that_of_trying_every_order(calls: list[Call]) -> None:
    assert (check(history(*calls)) == []) == linearizable(calls)


@settings(deadline=None, max_examples=300)
@given(claimed_calls())
def test_the_verdict_on_claims_is_that_of_trying_every_order(calls: list[Call]) -> None:
    assert (check(history(*calls)) == []) == linearizable(calls)


@settings(deadline=None, max_examples=200)
@given(arbitrary_calls(), st.data())
def test_trying_a_write_again_changes_no_verdict(calls: list[Call], data: st.DataObject) -> None:
    tried = data.draw(tried_again(calls))
    assert (check(history(*tried)) == []) == (check(history(*calls)) == [])


@unhurried
@given(valid_calls(audited=True), st.data())
def test_a_lost_acknowledged_write_is_found(calls: list[Call], data: st.DataObject) -> None:
    tokens = [c.token for c in calls if c.kind is Kind.APPEND and c.acknowledged_write]
    lost = data.draw(st.sampled_from(tokens))
    silent = [replace(c, state=None) if c.token == lost else c for c in calls]
    spoilt = in_all(silent, lambda seen: tuple(token for token in seen if token != lost))
    assert Rule.LOST in rules(spoilt)


@unhurried
@given(valid_calls(audited=True), st.data())
def test_a_doubled_write_is_found(calls: list[Call], data: st.DataObject) -> None:
    tokens = audited(calls)
    twice = data.draw(st.sampled_from(tokens))
    assert Rule.DOUBLED in rules(in_last(calls, (*tokens, twice)))


@unhurried
@given(valid_calls(audited=True), st.integers(1, 3))
def test_a_count_that_disagrees_with_the_list_is_found(calls: list[Call], more: int) -> None:
    tokens = audited(calls)
    wrong = replace(calls[-1], state=State(tokens, len(tokens) + more))
    assert Rule.DOUBLED in rules([*calls[:-1], wrong])


@unhurried
@given(valid_calls(audited=True), st.data())
def test_writes_in_the_wrong_order_are_found(calls: list[Call], data: st.DataObject) -> None:
    writer = {c.token: c for c in calls if c.token}
    tokens = audited(calls)
    pairs = [
        (one, other)
        for i, one in enumerate(tokens)
        for other in tokens[i + 1 :]
        if i > 0 and writer[one].outcome is Outcome.OK and writer[one].end < writer[other].begin
    ]
    one, other = data.draw(st.sampled_from(pairs))
    swap = {one: other, other: one}
    seen = [c if c.kind is Kind.READ else replace(c, state=None) for c in calls]
    spoilt = in_last(
        [c for c in seen if c.kind is not Kind.READ or c is seen[-1]],
        tuple(swap.get(token, token) for token in tokens),
    )
    assert Rule.ORDER in rules(spoilt)


@unhurried
@given(valid_calls(audited=True))
def test_an_invented_value_is_found(calls: list[Call]) -> None:
    assert Rule.INVENTED in rules(in_last(calls, (*audited(calls), "nobody's")))


@unhurried
@given(valid_calls(audited=True), st.integers(0, 1000))
def test_the_effect_of_a_failed_write_is_found(calls: list[Call], begin: int) -> None:
    failed = append(begin, begin + 100, "f", outcome=Outcome.FAILED)
    assert check(history(failed, *calls)) == []
    assert Rule.FAILED_VISIBLE in rules([failed, *in_last(calls, (*audited(calls), "f"))])


@unhurried
@given(valid_calls(audited=True))
def test_a_document_that_vanished_is_found(calls: list[Call]) -> None:
    assert Rule.LOST in rules([*calls[:-1], replace(calls[-1], found=0, state=None)])


@unhurried
@given(valid_calls(audited=True))
def test_a_document_on_two_shards_is_found(calls: list[Call]) -> None:
    assert Rule.DOUBLED in rules([*calls[:-1], replace(calls[-1], found=2)])


@unhurried
@given(valid_calls(audited=True))
def test_a_claim_that_two_were_given_is_found(calls: list[Call]) -> None:
    end = calls[-1].end
    assert rules([*calls, insert(end + 1, end + 2, "second")]) == {Rule.CLAIMED_TWICE}


@unhurried
@given(valid_calls(audited=True), st.data())
def test_a_stale_read_is_found(calls: list[Call], data: st.DataObject) -> None:
    """It misses y, or more, which was acknowledged before it began and is there afterwards."""
    *others, last = calls
    tokens = audited(calls)
    seen = tokens[: data.draw(st.integers(1, len(tokens) - 2))]
    stale = read(last.begin, last.end, *seen)
    later = replace(last, begin=last.end + 1, end=last.end + 2)
    assert Rule.STALE in rules([*others, stale, later])


@unhurried
@given(valid_calls(audited=True))
def test_a_document_that_came_back_is_found(calls: list[Call]) -> None:
    end, tokens = calls[-1].end, audited(calls)
    gone = delete(end + 1, end + 2, *tokens)
    assert check(history(*calls, gone)) == []
    assert Rule.RESURRECTED in rules([*calls, gone, read(end + 3, end + 4, *tokens)])


@unhurried
@given(valid_calls(audited=True))
def test_two_versions_that_changed_places_are_found(calls: list[Call]) -> None:
    """A read saw y and z; one that began when it had ended saw only y."""
    *others, last = calls
    less = read(last.end + 1, last.end + 2, *audited(calls)[:-1])
    full = replace(last, begin=last.end + 3, end=last.end + 4)
    assert rules([*others, last, less, full]) & {Rule.BACKWARDS, Rule.STALE}

"""Histories by hand or by simulation, and a slow judge of them that shares no code with ours."""

from collections.abc import Iterator
from functools import cache
from math import inf
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from cluster.drill.history import AUDITOR, Call, Guarantee, History, Kind, Outcome, State

STEP = 100
"""Nanoseconds between the moments at which simulated calls take effect."""


def call(kind: Kind, begin: int, end: int, token: str = "", **more: Any) -> Call:
    """A call of client 0 on key k, acknowledged unless `more` says otherwise."""
    given = {"client": 0, "key": "k", "outcome": Outcome.OK, **more}
    return Call(kind=kind, begin=begin, end=end, token=token, **given)


def insert(begin: int, end: int, token: str, **more: Any) -> Call:
    return call(Kind.INSERT, begin, end, token, **more)


def append(begin: int, end: int, token: str, **more: Any) -> Call:
    return call(Kind.APPEND, begin, end, token, **more)


def read(begin: int, end: int, *tokens: str, **more: Any) -> Call:
    """A read that saw these tokens."""
    given = {"state": State(tokens, len(tokens)), **more}
    return call(Kind.READ, begin, end, **given)


def read_nothing(begin: int, end: int, **more: Any) -> Call:
    return call(Kind.READ, begin, end, found=0, **more)


def delete(begin: int, end: int, *tokens: str, **more: Any) -> Call:
    """A delete that removed these tokens; without any, one that does not tell."""
    state = State(tokens, len(tokens)) if tokens else None
    return call(Kind.DELETE, begin, end, **{"state": state, **more})


def history(*calls: Call) -> History:
    return History(list(calls))


_GUARANTEES = st.sampled_from(
    [Guarantee.LINEARIZABLE] * 3 + [Guarantee.MAJORITY] + [Guarantee.SESSION] * 2
)


@st.composite
def valid_calls(draw: st.DrawFn, size: int = 12, *, audited: bool = False) -> list[Call]:
    """Calls on one key as a correct store answers them, their intervals overlapping at random.

    `audited` ones end, after all else, with two appends one after the other and a read of the key,
    which still exists.
    """
    kinds = draw(st.lists(st.sampled_from(["append", "append", "read", "read"]), max_size=size - 2))
    kinds.insert(draw(st.integers(0, min(2, len(kinds)))), "insert")
    if not audited and draw(st.booleans()):
        kinds.insert(draw(st.integers(1, len(kinds))), "delete")
    tokens: tuple[str, ...] | None = None
    calls = []
    for number, name in enumerate(kinds, 1):
        kind = Kind(name)
        outcome = Outcome.OK
        if kind is not Kind.READ and not (audited and kind is Kind.INSERT):
            outcome = draw(st.sampled_from([Outcome.OK] * 4 + [Outcome.UNKNOWN, Outcome.FAILED]))
        applied = outcome is Outcome.OK or (outcome is Outcome.UNKNOWN and draw(st.booleans()))
        there = tokens is not None
        before = tokens
        if applied:
            tokens = _apply(kind, tokens, f"t{number}")
        state = before if kind is Kind.DELETE else tokens
        tells = kind is Kind.READ or (kind is not Kind.INSERT and draw(st.booleans()))
        known = outcome is Outcome.OK and tells and state is not None and there
        moment = STEP * number
        calls.append(
            call(
                kind,
                moment - draw(st.integers(1, 3 * STEP)),
                moment + draw(st.integers(1, 3 * STEP)),
                f"t{number}" if kind in (Kind.INSERT, Kind.APPEND) else "",
                outcome=outcome,
                found=1 if there or kind is Kind.INSERT or outcome is not Outcome.OK else 0,
                state=State(state, len(state)) if known and state is not None else None,
                guarantee=draw(_GUARANTEES) if kind is Kind.READ else Guarantee.LINEARIZABLE,
                client=draw(st.integers(0, 1)),
            )
        )
    if audited and tokens is not None:
        end = max(c.end for c in calls)
        calls += [append(end + 1, end + 2, "y"), append(end + 3, end + 4, "z")]
        calls.append(read(end + 5, end + 6, *tokens, "y", "z", client=AUDITOR))
    return calls


def _apply(kind: Kind, tokens: tuple[str, ...] | None, token: str) -> tuple[str, ...] | None:
    if kind is Kind.INSERT:
        return (token,)
    if kind is Kind.APPEND and tokens is not None:
        return (*tokens, token)
    return None if kind is Kind.DELETE else tokens


@st.composite
def arbitrary_calls(draw: st.DrawFn) -> list[Call]:
    """Calls that were valid once and then had a few answers and times changed: most are wrong."""
    calls = draw(valid_calls(size=7))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(calls) - 1))
        calls[at] = draw(_changed(calls[at], calls))
    return calls


@st.composite
def wrong_calls(draw: st.DrawFn) -> list[Call]:
    """Arbitrary calls. Those that are right after all end with a read of what nobody wrote."""
    calls = draw(arbitrary_calls())
    if linearizable(calls):
        end = max(c.end for c in calls)
        calls.append(read(end + 1, end + 2, "nobody's"))
    return calls


@st.composite
def claimed_calls(draw: st.DrawFn) -> list[Call]:
    """Valid calls, and more inserts of the key, one of which may be what all saw as the first."""
    calls = draw(valid_calls(size=6))
    for token in ("x", "y")[: draw(st.integers(1, 2))]:
        begin = draw(st.integers(-STEP, 6 * STEP))
        outcome = draw(st.sampled_from(Outcome))
        calls.append(insert(begin, begin + draw(st.integers(1, 2 * STEP)), token, outcome=outcome))
    first = draw(st.sampled_from([c.token for c in calls if c.kind is Kind.INSERT]))
    if draw(st.booleans()):
        calls = [_begun_with(call, first) for call in calls]
    return calls


def _begun_with(one: Call, token: str) -> Call:
    if one.state is None or one.kind is Kind.INSERT:
        return one
    return replace(one, state=State((token, *one.state.tokens[1:]), one.state.version))


@st.composite
def tried_again(draw: st.DrawFn, calls: list[Call]) -> list[Call]:
    """The same calls, some of the acknowledged writes tried twice within their time."""
    tried = []
    for one in calls:
        long = one.token and one.outcome is Outcome.OK and one.end - one.begin > 4
        if not long or draw(st.booleans()):
            tried.append(one)
            continue
        end, begin = sorted(draw(st.lists(_within(one), min_size=2, max_size=2)))
        outcome = draw(st.sampled_from([Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.FAILED]))
        early = one.begin if outcome is Outcome.FAILED else begin
        tried.append(replace(one, end=end, outcome=outcome, state=None, found=1))
        tried.append(replace(one, begin=early))
    return tried


def _within(one: Call) -> st.SearchStrategy[int]:
    return st.integers(one.begin + 1, one.end - 1)


@st.composite
def _changed(draw: st.DrawFn, one: Call, calls: list[Call]) -> Call:
    what = draw(st.sampled_from(["time", "state", "outcome", "found"]))
    if what == "time":
        begin = draw(st.integers(-STEP, 10 * STEP))
        return replace(one, begin=begin, end=begin + draw(st.integers(1, 2 * STEP)))
    if what == "outcome" and one.kind is not Kind.READ:
        return replace(one, outcome=draw(st.sampled_from(Outcome)), state=None)
    if what == "found" and one.kind is not Kind.INSERT and one.outcome is Outcome.OK:
        return replace(one, found=0, state=None)
    written = [c.token for c in calls if c.token]
    if one.outcome is Outcome.OK and one.kind is not Kind.INSERT:
        tokens = tuple(draw(st.permutations(written)))[: draw(st.integers(1, len(written)))]
        version = len(tokens)
        return replace(one, found=1, state=State(tokens, version))
    return one


def linearizable(calls: list[Call]) -> bool:
    """Try every order of the calls that respects their intervals: slow, and obviously right."""
    live = [c for c in calls if c.outcome is not Outcome.FAILED]
    spans = [_span(c) for c in live]
    certain = frozenset(i for i, c in enumerate(live) if c.outcome is Outcome.OK)
    known = [frozenset(i for i, c in enumerate(live) if _knows(one, c)) for one in live]

    @cache
    def search(left: frozenset[int], phase: str, tokens: tuple[str, ...]) -> bool:
        if not left & certain:
            return True
        horizon = min(spans[i][1] for i in left)
        return any(
            search(left - {i}, *after)
            for i in left
            if spans[i][0] <= horizon and not known[i] & left
            for after in _steps(live[i], phase, tokens)
        )

    # A call without an answer may also have had no effect: leave each such call in or out.
    everything = frozenset(range(len(live)))
    return search(everything, "absent", ())


def _span(one: Call) -> tuple[float, float]:
    weak = one.kind is Kind.READ and one.guarantee in (Guarantee.MAJORITY, Guarantee.SESSION)
    return (
        -inf if weak else one.begin,
        inf if one.outcome is Outcome.UNKNOWN else one.end,
    )


def _knows(one: Call, other: Call) -> bool:
    """Whether one is a read in a session that comes after the other, its own client's."""
    own = other.client == one.client and other.end < one.begin and other.outcome is Outcome.OK
    session = other.kind is not Kind.READ or other.guarantee is Guarantee.SESSION
    return one.guarantee is Guarantee.SESSION and own and session


def _steps(one: Call, phase: str, tokens: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The states that the key may be in after the call, given the call's answer."""
    there = phase == "there"
    known = one.outcome is Outcome.OK
    shown = one.state.tokens if one.state is not None else None
    if one.kind is Kind.INSERT:
        if phase == "absent":
            yield "there", (one.token,)
    elif known and (one.found > 0) != there:
        return
    elif not there:
        yield phase, tokens
    elif one.kind is Kind.APPEND:
        if shown in (None, (*tokens, one.token)):
            yield "there", (*tokens, one.token)
    elif one.kind is Kind.DELETE:
        if shown in (None, tokens):
            yield "gone", ()
    elif shown == tokens:
        yield phase, tokens

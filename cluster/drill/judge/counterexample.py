"""The fewest calls that still show what is wrong with a key.

Calls are left out as long as the rest breaks the same promise, and only so that the rest is a
history of its own: if the whole could be explained, so could the rest. So an append is left out
together with its token, wherever that was seen, and with all tries of it; an insert stays, since
every other call depends on it; a delete stays as long as there is a call that found nothing.
(Minimising by removal: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input",
IEEE TSE 2002.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb

from msgspec.structs import replace

from cluster.drill.history import Call, History, HistoryError, Kind, Outcome, State
from cluster.drill.judge.checker import Rule, Violation, check

TRIES = 5_000
"""Judgements that the search for the very smallest may take; a judgement takes some 0.1 ms."""


def smallest(history: History, violation: Violation) -> list[Call]:
    """The fewest calls of the violation's key that break the same promise, in order of time.

    They are the fewest of all if trying all smaller choices takes at most `TRIES` judgements;
    else none of them can be left out.
    """
    involved = {id(call) for call in violation.calls}
    calls = [c for c in history.by_key() if c.key == violation.key or id(c) in involved]
    allowed = {found.rule for found in check(History(list(calls)))}

    def breaks(kept: Sequence[Call]) -> bool:
        return _breaks(calls, kept, violation.rule, allowed)

    kept = _reduced(calls, breaks) if breaks(calls) else list(violation.calls)
    for size in range(1, len(kept)):
        if comb(len(calls), size) > TRIES:
            break
        fewer = next((some for some in combinations(calls, size) if breaks(some)), None)
        if fewer is not None:
            kept = list(fewer)
            break
    return sorted(kept, key=lambda call: (call.begin, call.end))


def _reduced(calls: list[Call], breaks: Callable[[Sequence[Call]], bool]) -> list[Call]:
    """Leave out runs of calls, ever shorter ones, until no single call can be left out."""
    kept, length = list(calls), max(1, len(calls) // 2)
    while True:
        before = len(kept)
        at = 0
        while at < len(kept):
            fewer = kept[:at] + kept[at + length :]
            if fewer and breaks(fewer):
                kept = fewer
            else:
                at += length
        if length > 1:
            length //= 2
        elif len(kept) == before:
            return kept


def _breaks(calls: list[Call], kept: Sequence[Call], rule: Rule, allowed: set[Rule]) -> bool:
    """Whether these calls break the promise, and none that the whole does not break."""
    rest = remainder(calls, kept)
    if rest is None:
        return False
    try:
        rules = {found.rule for found in check(History(list(rest)))}
    except HistoryError:
        return False
    return rule in rules and rules <= allowed


def remainder(calls: Sequence[Call], kept: Sequence[Call]) -> list[Call] | None:
    """Those of a key's calls that are kept, as they had been answered without the others; None if
    one of the others cannot be left out.
    """
    there = {id(call) for call in kept}
    others = [
        call for call in calls if id(call) not in there and call.outcome is not Outcome.FAILED
    ]
    kinds = {call.kind for call in others}
    if Kind.INSERT in kinds or (Kind.DELETE in kinds and not all(call.found for call in kept)):
        return None
    gone = {call.token for call in others if call.token}
    if gone.intersection(call.token for call in kept):
        return None  # tries of one write
    return [without(call, gone) for call in kept]


def without(call: Call, gone: set[str]) -> Call:
    """The call as it had been answered if nobody had written these tokens."""
    if call.state is None or not gone.intersection(call.state.tokens):
        return call
    left = tuple(token for token in call.state.tokens if token not in gone)
    fewer = len(call.state.tokens) - len(left)
    return replace(call, state=State(left, call.state.version - fewer))

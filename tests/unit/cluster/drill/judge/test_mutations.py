"""The judge can be trusted: each way of spoiling a good run ends with status 2."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from cluster.drill.history import AUDITOR, Call, History, Kind, Outcome, State
from cluster.drill.judge.checker import Rule
from cluster.drill.judge.verdict import Status, judge, read
from tests.unit.cluster.drill.runs import Model, leave

Calls = list[Call]


def seeing(call: Call, *tokens: str) -> Call:
    return replace(call, found=1, state=State(tokens, len(tokens)))


def reads(calls: Calls, least: int) -> Calls:
    """The load's reads that saw so many tokens or more."""
    return [
        c
        for c in calls
        if c.kind is Kind.READ and c.client != AUDITOR and c.state and len(c.state.tokens) >= least
    ]


def dropped(calls: Calls, chance: random.Random) -> Calls:
    """An acknowledged append is nowhere to be seen from the start."""
    seen = {token for call in reads(calls, 1) if call.state for token in call.state.tokens}
    appends = [c for c in calls if c.kind is Kind.APPEND and c.token in seen]
    lost = chance.choice(appends)
    spoilt = []
    for call in calls:
        if call is lost:
            spoilt.append(replace(call, state=None))
        elif call.state is not None:
            spoilt.append(seeing(call, *(t for t in call.state.tokens if t != lost.token)))
        else:
            spoilt.append(call)
    return spoilt


def swapped(calls: Calls, chance: random.Random) -> Calls:
    """Two versions of a key changed places: a read saw the later one first."""
    read_ = chance.choice(reads(calls, 3))
    assert read_.state is not None
    *first, one, other = read_.state.tokens
    return [seeing(c, *first, other, one) if c is read_ else c for c in calls]


def claimed(calls: Calls, chance: random.Random) -> Calls:
    """A key that one client has made is given to another, too."""
    made = chance.choice([c for c in calls if c.kind is Kind.INSERT])
    end = made.end + chance.randrange(1, 10**9)
    return [*calls, replace(made, client=99, token="another", begin=end, end=end + 1)]


def stale(calls: Calls, chance: random.Random) -> Calls:
    """A read misses the newest acknowledged write."""
    read_ = chance.choice(reads(calls, 2))
    assert read_.state is not None
    return [seeing(c, *read_.state.tokens[:-1]) if c is read_ else c for c in calls]


def resurrected(calls: Calls, chance: random.Random) -> Calls:
    """The auditor finds a key that was deleted."""
    gone = chance.choice([c for c in calls if c.kind is Kind.DELETE])
    assert gone.state is not None
    there = gone.state.tokens
    return [seeing(c, *there) if c.client == AUDITOR and c.key == gone.key else c for c in calls]


def doubled(calls: Calls, chance: random.Random) -> Calls:
    """A write took effect twice."""
    read_ = chance.choice(reads(calls, 2))
    assert read_.state is not None
    last = read_.state.tokens[-1]
    return [seeing(c, *read_.state.tokens, last) if c is read_ else c for c in calls]


def failed_all_the_same(calls: Calls, chance: random.Random) -> Calls:
    """A write that was refused is there."""
    seen = {token for call in reads(calls, 1) if call.state for token in call.state.tokens}
    one = chance.choice([c for c in calls if c.kind is Kind.APPEND and c.token in seen])
    refused = replace(one, outcome=Outcome.FAILED, state=None, error="refused")
    return [refused if c is one else c for c in calls]


MUTATIONS: dict[Callable[[Calls, random.Random], Calls], set[Rule]] = {
    dropped: {Rule.LOST},
    swapped: {Rule.DIVERGED, Rule.ORDER},
    claimed: {Rule.CLAIMED_TWICE},
    stale: {Rule.STALE, Rule.BACKWARDS},
    resurrected: {Rule.RESURRECTED},
    doubled: {Rule.DOUBLED},
    failed_all_the_same: {Rule.FAILED_VISIBLE},
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spoil", MUTATIONS, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_run_is_broken(
    tmp_path: Path, spoil: Callable[[Calls, random.Random], Calls], seed: int
) -> None:
    calls = Model(seed=seed).run().calls
    good = judge(leave(tmp_path / "good", History(list(calls))))
    assert good.status is Status.PASSED
    spoilt = spoil(calls, random.Random(seed))  # noqa: S311 - a test, not a secret
    folder = leave(tmp_path / "bad", History(list(spoilt)))
    assert judge(folder).status is Status.BROKEN
    assert {one.rule for one in read(folder).violations} & MUTATIONS[spoil]

"""The writes that a history's calls amount to, before a judge looks at each key by itself.

A write may be **tried several times** under one idempotency key: calls of one kind on one key with
one token. They are one write, which takes effect at most once, at some time after the first try
began, and before the first answer came. Every answer must be the first one's.

A key may be **claimed by several clients**: by inserts of different tokens. At most one of them may
succeed; the others must have no effect. Of those that had no answer it is the key's content that
tells which it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from cluster.drill.history import Call, History, HistoryError, Kind, Outcome


@dataclass
class Writes:
    """A history's calls, sorted out.

    `writers` names the write behind each token. `keys` has the calls of each key, among them one
    insert at most. `answers` are two answers to one write that differ; `claims` two acknowledged
    inserts of one key.
    """

    writers: dict[str, Call] = field(default_factory=dict)
    keys: dict[str, list[Call]] = field(default_factory=dict)
    answers: list[tuple[Call, Call]] = field(default_factory=list)
    claims: list[tuple[Call, Call]] = field(default_factory=list)


def sort_out(history: History) -> Writes:
    """The writes of a history.

    Raises HistoryError if it cannot be judged: a token of two different writes, a key with two
    deletes, a call that ends before it begins, a read without what it saw.
    """
    found = Writes()
    tries: dict[str, list[Call]] = {}
    for call in history.by_key():
        _check(call)
        calls = found.keys.setdefault(call.key, [])
        if call.kind is Kind.DELETE and any(c.kind is Kind.DELETE for c in calls):
            raise HistoryError(f"{call.key} has two calls of kind {call.kind}")
        if call.kind in (Kind.INSERT, Kind.APPEND):
            tries.setdefault(call.token, []).append(call)
        else:
            calls.append(call)
    for token, some in tries.items():
        if any((c.key, c.kind) != (some[0].key, some[0].kind) for c in some) or not token:
            raise HistoryError(f'the token "{token}" on {some[0].key} is not unique')
        found.writers[token] = _one(some, found)
        found.keys[some[0].key].append(found.writers[token])
    for key, calls in found.keys.items():
        found.keys[key] = _claimed(calls, found)
    return found


def single(history: History) -> list[Call]:
    """The calls of a history, all tries of one write as one call."""
    tries: dict[str, list[Call]] = {}
    for call in history.calls:
        if call.token:
            tries.setdefault(call.token, []).append(call)
    others = [call for call in history.calls if not call.token]
    return [*others, *(_one(some, Writes()) for some in tries.values())]


def _check(call: Call) -> None:
    if call.end < call.begin:
        raise HistoryError(f"a call on {call.key} ends before it begins: {call}")
    sees = call.kind is Kind.READ and call.outcome is Outcome.OK and call.found > 0
    if sees and call.state is None:
        raise HistoryError(f"a read of {call.key} does not say what it saw: {call}")


def _one(tries: list[Call], found: Writes) -> Call:
    """The one write that these calls tried; which is the call itself, if there is only one."""
    if len(tries) == 1:
        return tries[0]
    possible = [call for call in tries if call.outcome is not Outcome.FAILED]
    if not possible:
        return tries[0]
    begin = min(call.begin for call in possible)
    answered = sorted((c for c in possible if c.outcome is Outcome.OK), key=lambda c: c.end)
    if not answered:
        return replace(possible[0], begin=begin, end=max(call.end for call in possible))
    first = answered[0]
    found.answers += [(first, other) for other in answered[1:] if _differ(first, other)]
    told = next((call.state for call in answered if call.state is not None), None)
    return replace(first, begin=begin, state=told)


def _differ(one: Call, other: Call) -> bool:
    told = one.state is not None and other.state is not None and one.state != other.state
    return told or one.found != other.found


def _claimed(calls: list[Call], found: Writes) -> list[Call]:
    """The calls of a key, without the inserts that another insert has won over."""
    inserts = [call for call in calls if call.kind is Kind.INSERT]
    if len(inserts) < 2:
        return calls
    winners = sorted((c for c in inserts if c.outcome is Outcome.OK), key=lambda c: c.end)
    found.claims += [(winners[0], other) for other in winners[1:]]
    possible = winners or [c for c in inserts if c.outcome is Outcome.UNKNOWN] or inserts
    first = {c.state.tokens[0] for c in calls if c.state is not None and c.state.tokens}
    seen = [call for call in possible if call.token in first]
    # Whichever it was: the one that was called first leaves the most possible.
    winner = min(seen or possible, key=lambda call: call.begin)
    return [call for call in calls if call.kind is not Kind.INSERT or call is winner]

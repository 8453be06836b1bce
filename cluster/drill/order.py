"""Real-time order of one key's calls.

Every call that had an effect, or saw one, gets a *level*, its place in the only order that explains
what was seen: the write of the i-th token has level 2i, a call that saw n tokens has level 2n + 1,
and so on up to the delete. The key is linearizable exactly if no call of a higher level ended
before one of a lower level began (Herlihy and Wing, TOPLAS 1990, for one register whose order of
writes is known). A call without an answer never ended; a read that promises no more than a majority
may have begun at any time before. A local read must not miss what was acknowledged before it
began; it proves nothing to the calls after it.
"""

from dataclasses import dataclass
from math import inf

from cluster.drill.contents import Contents
from cluster.drill.history import Call, Guarantee, Kind, Outcome
from cluster.drill.violations import Rule, Violation, describe

ABSENT = 1
"""The level of a call that found nothing because the key was not inserted yet."""


@dataclass(frozen=True)
class Placed:
    """A call with its level, and the interval within which it took effect."""

    call: Call
    level: int
    begin: float
    end: float
    effect: bool
    gone: bool = False

    @classmethod
    def at(cls, call: Call, level: int, *, effect: bool, gone: bool = False) -> "Placed":
        """Place a call; its interval is wider than its begin and end where less is promised."""
        weak = not effect and call.guarantee is Guarantee.MAJORITY
        # What a local read saw may be undone, and done again later: nothing follows from it.
        passing = not effect and call.guarantee is Guarantee.LOCAL
        begin = -inf if weak else call.begin
        end = inf if passing or call.outcome is Outcome.UNKNOWN else call.end
        return cls(call, level, begin, end, effect, gone)


def place(contents: Contents) -> list[Placed]:
    """Give every call that says something about the key its level."""
    known = len(contents.tokens)
    level_of = {token: 2 * (i + 1) for i, token in enumerate(contents.tokens)}
    unseen = 2 * max(known, 1) + 2  # acknowledged appends that nobody saw: after all that was seen
    deleted = unseen + 2
    placed: list[Placed] = []
    absent: list[Call] = []
    exists = any(_found(call) for call in contents.calls)
    for number, call in enumerate(contents.calls):
        if call.kind in (Kind.INSERT, Kind.APPEND) and call.token in level_of:
            placed.append(Placed.at(call, level_of[call.token], effect=True))
        elif call.kind is Kind.INSERT:
            certain = call.outcome is Outcome.OK or (call.outcome is Outcome.UNKNOWN and exists)
            if certain:
                placed.append(Placed.at(call, 2, effect=True))
        elif call.outcome is not Outcome.OK:
            continue
        elif call.found == 0:
            absent.append(call)
        elif call.kind is Kind.APPEND:
            placed.append(Placed.at(call, unseen, effect=True))
        elif call.kind is Kind.DELETE:
            placed.append(Placed.at(call, deleted, effect=True, gone=True))
        elif number in contents.seen:
            placed.append(Placed.at(call, 2 * contents.seen[number] + 1, effect=False))
    return placed + _place_absent(contents, absent, placed, deleted + 1)


def _found(call: Call) -> bool:
    return call.outcome is Outcome.OK and call.kind is not Kind.INSERT and call.found > 0


def _place_absent(
    contents: Contents, absent: list[Call], placed: list[Placed], gone: int
) -> list[Placed]:
    """Nothing was found: before the insert if that can be, else after the delete if that can be."""
    first_end = min((p.end for p in placed), default=inf)
    deletes = [
        call
        for call in contents.calls
        if call.kind is Kind.DELETE
        and (call.outcome is Outcome.UNKNOWN or (call.outcome is Outcome.OK and call.found > 0))
    ]
    result = []
    for call in absent:
        before = Placed.at(call, ABSENT, effect=False)
        after = any(delete.begin <= call.end for delete in deletes)
        if before.begin > first_end and after:
            result.append(Placed.at(call, gone, effect=False, gone=True))
        else:
            result.append(before)
    return result


def losses(placed: list[Placed]) -> list[tuple[Placed, Placed]]:
    """Acknowledged writes that some later call misses and that no call has seen since then.

    Each comes with the last call that misses it.
    """
    found = []
    for write in placed:
        if not (write.effect and write.call.acknowledged_write) or write.gone:
            continue
        missing = [
            p for p in placed if not p.effect and p.level < write.level and write.end < p.begin
        ]
        last = max(missing, key=lambda p: p.begin, default=None)
        if last is None:
            continue
        seen_again = any(
            p.level >= write.level and p.begin > last.begin for p in placed if p is not write
        )
        if not seen_again:
            found.append((write, last))
    return found


def conflicts(placed: list[Placed]) -> list[tuple[Placed, Placed]]:
    """For each call that comes too late for its level: the highest call that ended before it."""
    by_end = sorted((p for p in placed if p.end < inf), key=lambda p: p.end)
    found = []
    highest: Placed | None = None
    ended = 0
    for later in sorted(placed, key=lambda p: p.begin):
        while ended < len(by_end) and by_end[ended].end < later.begin:
            if highest is None or by_end[ended].level > highest.level:
                highest = by_end[ended]
            ended += 1
        if highest is not None and highest.level > later.level:
            found.append((highest, later))
    return found


def explain(key: str, earlier: Placed, later: Placed, origin: int) -> Violation:
    """Say what it means that `earlier` ended before `later` began, against their levels."""
    one, other = describe(earlier.call, origin), describe(later.call, origin)
    if earlier.gone:
        rule = Rule.RESURRECTED
        sentence = f"the key was gone after {one}, yet {other} found it"
    elif later.effect and earlier.effect:
        rule = Rule.ORDER
        sentence = f"{one} took effect after {other}, which began only when it had ended"
    elif later.effect:
        rule = Rule.FUTURE
        sentence = f"{one} saw what {other} or a later call wrote, before that was called"
    elif earlier.effect:
        rule = Rule.STALE
        sentence = f"{other} misses {one}, which was acknowledged before it began"
    else:
        rule = Rule.BACKWARDS
        sentence = f"{other} saw less than {one}, which had ended before it began"
    return Violation(rule, key, f"{key}: {sentence}.", (earlier.call, later.call))

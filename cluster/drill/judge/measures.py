"""What each fault of a run cost: outages, elections, errors and latencies, from run and history.

A run has one or more faults, its *turns*. The time of a turn is cut in three:

- *before*: from the beginning of the load, or the end of the turn before, to the fault;
- *during*: from the fault to the moment at which the cluster was whole again (WHOLE), or the fault
  was taken back (UNDONE) where nobody saw it whole, or else to the end of the turn;
- *after*: from then to the next fault, or to the end of the load.

A call belongs to *during* if any part of it does, from when it was due: one that was on its way
when the fault came is held up by it, and so is one that had to wait for its turn. Durations are
seconds, latencies milliseconds, moments seconds since `Run.origin`.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from itertools import pairwise

import msgspec

from cluster.drill.history import AUDITOR, Call, History, Outcome
from cluster.drill.judge.summary import Latency, latency
from cluster.drill.record import Event, Run, What

LATE = 1.0
"""Seconds after which a call counts as delayed."""


class Period(StrEnum):
    """A part of a turn; see above."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


class Distribution(msgspec.Struct, frozen=True):
    """Several measurements of one thing. `values` are in order: the i-th of n is the (i/n)-quantile
    of the empirical distribution (ECDF). `p90` is one of them, by the nearest rank.
    """

    values: tuple[float, ...]
    median: float
    p90: float
    worst: float


def distribution(values: Iterable[float]) -> Distribution | None:
    """The distribution of these; None of nothing."""
    ranked = tuple(sorted(values))
    if not ranked:
        return None
    p90 = ranked[math.ceil(0.9 * len(ranked)) - 1]
    return Distribution(ranked, statistics.median(ranked), p90, ranked[-1])


class GroupCost(msgspec.Struct, frozen=True):
    """What a fault cost one group.

    `outage` is the longest time without an acknowledged write that reaches into the fault's time,
    `since` when it began, `again` how long after the fault the write came that ended it; None if
    none did before the turn was over. A group that nothing happens to has an outage, too: its
    longest pause; `pause` is the longest one before the fault, which is the load's own. `latencies`
    are of acknowledged calls; `late` counts the calls, whatever came of them, that took more than a
    second (`LATE`).
    """

    concerned: bool
    outage: float
    since: float
    again: float | None
    latencies: dict[Period, Latency]
    late: dict[Period, int]
    pause: float = 0.0


class TurnCost(msgspec.Struct, frozen=True):
    """What one fault cost. All but `fault` and `until` are counted from the fault.

    `detected` is when a member missed its primary and stood for election, `elected` when the first
    new primary was seen, `undone` when the fault was taken back, `whole` when every member was
    there again and had caught up: None where that was not seen. `elections` counts new primaries,
    each set's terms once. `until` is the end of *during*.
    """

    turn: int
    what: str
    evidence: tuple[str, ...]
    fault: float
    until: float
    detected: float | None
    elected: float | None
    undone: float | None
    whole: float | None
    elections: int
    errors: dict[str, int]
    groups: dict[str, GroupCost]

    @property
    def outage(self) -> float:
        """The longest of the groups that the fault concerns; of all if it concerns none."""
        some = any(group.concerned for group in self.groups.values())
        return max((g.outage for g in self.groups.values() if g.concerned or not some), default=0.0)

    def others(self) -> list[GroupCost]:
        """The groups that the fault does not concern."""
        return [group for group in self.groups.values() if not group.concerned]


class Cost(msgspec.Struct, frozen=True):
    """What a run cost. `errors` are the clients' errors by kind or status, of the whole load;
    `outages` those of the groups concerned, fault by fault; `rate` is calls in a second until the
    first fault.
    """

    seconds: float
    calls: int
    acknowledged_writes: int
    rate: float
    errors: dict[str, int]
    late: int
    turns: tuple[TurnCost, ...]
    outages: Distribution | None


def measure(run: Run, history: History) -> Cost:
    """What the run's faults cost."""
    load = [call for call in history.calls if call.client != AUDITOR]
    begin = min((call.begin for call in load), default=run.origin)
    end = max((call.end for call in load), default=begin)
    turns = tuple(_turn(run, load, span) for span in _spans(run, begin, end))
    calm = (turns[0].fault if turns else _since(run, end)) - _since(run, begin)
    early = sum(_since(run, call.end) <= _since(run, begin) + calm for call in load)
    return Cost(
        seconds=(end - begin) / 1e9,
        calls=len(load),
        acknowledged_writes=sum(call.acknowledged_write for call in load),
        rate=early / calm if calm > 0 else 0.0,
        errors=errors(load),
        late=sum(_late(call) for call in load),
        turns=turns,
        outages=distribution(turn.outage for turn in turns),
    )


def period_of(run: Run, history: History) -> Callable[[Call], Period | None]:
    """A function that tells the part of a turn that a call belongs to, whichever turn it is."""
    load = [call for call in history.calls if call.client != AUDITOR]
    begin = min((call.begin for call in load), default=run.origin)
    spans = _spans(run, begin, max((call.end for call in load), default=begin))

    def period(call: Call) -> Period | None:
        return next((p for span in spans if (p := span.period(call)) is not None), None)

    return period


def errors(calls: Iterable[Call]) -> dict[str, int]:
    """How many calls came to nothing, or to nobody knows what, by the kind of error."""
    found = Counter(kind_of(call.error) for call in calls if call.erred)
    return dict(found.most_common())


def kind_of(error: str) -> str:
    """The status of an answer ("503"), or the name of an exception ("AutoReconnect")."""
    status = re.search(r"\banswered (\d{3})\b", error)
    return status[1] if status else error.partition(":")[0].strip() or "no reason given"


# ---- turns -------------------------------------------------------------------------------------


class _Span(msgspec.Struct, frozen=True):
    """A turn's moments, in nanoseconds of the monotonic clock."""

    turn: int
    begin: int
    fault: int
    until: int
    end: int
    last: bool

    def period(self, call: Call) -> Period | None:
        """The part of this turn that the call belongs to, if any."""
        begin = call.due or call.begin
        if call.end < self.fault:
            return Period.BEFORE if begin >= self.begin else None
        if begin <= self.until:
            return Period.DURING
        return Period.AFTER if call.end < self.end or self.last else None


def _spans(run: Run, begin: int, end: int) -> list[_Span]:
    """The turns, in order, between the beginning and the end of the load."""
    turns = sorted({event.turn for event in run.events_of(What.FAULT)})
    faults = {turn: run.events_of(What.FAULT, turn)[0].at for turn in turns}
    spans = []
    for turn, following in pairwise([*turns, None]):
        if turn is None:
            continue
        over = end if following is None else faults[following]
        tidy = run.events_of(What.TIDY, turn)
        over = tidy[0].at if tidy else over
        ends = [run.events_of(what, turn) for what in (What.WHOLE, What.UNDONE)]
        until = next((events[-1].at for events in ends if events), over)
        until = min(until, over) if following is not None else until
        last = following is None and not tidy
        spans.append(_Span(turn, begin, faults[turn], until, over, last))
        begin = until
    return spans


def _turn(run: Run, load: list[Call], span: _Span) -> TurnCost:
    def after(what: What) -> float | None:
        events = run.events_of(what, span.turn)
        return (events[-1].at - span.fault) / 1e9 if events else None

    def first(what: What) -> float | None:
        at = next((e.at for e in run.events_of(what) if span.fault <= e.at <= span.end), None)
        return None if at is None else (at - span.fault) / 1e9

    known = {_term(event) for event in run.events_of(What.PRIMARY) if event.at < span.fault}
    new = [
        e
        for e in run.events_of(What.PRIMARY)
        if span.fault <= e.at and (e.at < span.end or span.last) and _term(e) not in known
    ]
    groups = sorted({call.group for call in load if call.writes} | set(run.concerned))
    return TurnCost(
        turn=span.turn,
        what="; ".join(event.text for event in run.events_of(What.FAULT, span.turn)),
        evidence=tuple(event.text for event in run.events_of(What.EVIDENCE, span.turn)),
        fault=_since(run, span.fault),
        until=_since(run, span.until),
        detected=first(What.DETECTED),
        elected=(new[0].at - span.fault) / 1e9 if new else None,
        undone=after(What.UNDONE),
        whole=after(What.WHOLE),
        elections=len({_term(event) for event in new}),
        errors=errors(c for c in load if span.period(c) in (Period.DURING, Period.AFTER)),
        groups={group: _group(run, group, load, span) for group in groups},
    )


def _term(event: Event) -> tuple[str, int]:
    return event.set_name, event.term


def _group(run: Run, name: str, load: list[Call], span: _Span) -> GroupCost:
    calls = [call for call in load if call.group == name]
    ends = sorted(c.end for c in calls if c.acknowledged_write and span.begin <= c.end <= span.end)
    # The end of the load ends the last pause, too: a group that never comes back shows.
    pauses = list(pairwise([span.begin, *ends, span.end]))
    length, since, until = max(
        (
            (later - earlier, earlier, later)
            for earlier, later in pauses
            if later >= span.fault and earlier <= span.until
        ),
        default=(0, span.fault, span.fault),
    )
    periods: dict[Period, list[Call]] = {period: [] for period in Period}
    for call in calls:
        if (period := span.period(call)) is not None:
            periods[period].append(call)
    return GroupCost(
        concerned=name in run.concerned,
        outage=length / 1e9,
        since=_since(run, since),
        again=(until - span.fault) / 1e9 if until in ends else None,
        latencies={
            period: latency(took)
            for period, some in periods.items()
            if (took := [c.took / 1e6 for c in some if c.outcome is Outcome.OK])
        },
        late={period: sum(map(_late, some)) for period, some in periods.items()},
        pause=max((b - a for a, b in pauses if b < span.fault), default=0) / 1e9,
    )


def _late(call: Call) -> bool:
    return call.took > LATE * 1e9


def _since(run: Run, at: int) -> float:
    return (at - run.origin) / 1e9

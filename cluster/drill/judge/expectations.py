"""What was measured, held against the limits of a scenario's expectation."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from cluster.drill.judge.measures import Cost, Period, TurnCost
from cluster.drill.record import Run


class Judged(msgspec.Struct, frozen=True):
    """One limit of an expectation and what was measured, one value for each fault (of `errors`: for
    each run). `name` is the limit's in `record.Expectation`.

    Times are judged by their median, so that one slow moment of the machine decides nothing, and
    counts by the greatest (`by`); `measured` is that, None if nothing could be measured, and then
    the limit is not `met`.
    """

    name: str
    says: str
    unit: str
    by: str
    limit: float
    values: tuple[float, ...]
    measured: float | None
    met: bool

    def text(self) -> str:
        """The limit and the measurement in a sentence."""
        limit = f"allowed is {number(self.limit)}{self.unit}"
        if self.measured is None:
            return f"{self.says}: this was not measured; {limit}"
        told = f"{self.says}: {number(self.measured)}{self.unit}"
        if len(self.values) > 1:
            told += f" ({self.by} of {len(self.values)}"
            told += f", worst {number(max(self.values))})" if self.by == "median" else ")"
        return f"{told}; {limit}"


def number(value: float) -> str:
    """It with at most two digits behind the point."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def hold(runs: Sequence[Run], costs: Sequence[Cost]) -> list[Judged]:
    """Every limit that the runs' scenario has, held against what each of them cost."""
    run = replace(runs[0], concerned=tuple(sorted({g for one in runs for g in one.concerned})))
    turns = [turn for cost in costs for turn in cost.turns]
    limits = (_gap, _elections_gap, _others_gap, _others_slower, _elections, _whole)
    found = [limit(run, turns) for limit in limits]
    found.insert(4, _errors(run, costs))
    return [one for one in found if one is not None]


def _gap(run: Run, turns: list[TurnCost]) -> Judged | None:
    says = f"longest time without an acknowledged write, {_where(run)}"
    gaps = (turn.outage for turn in turns)
    return _times("gap", says, " s", run.expectation.gap, gaps)


def _elections_gap(run: Run, turns: list[TurnCost]) -> Judged | None:
    unit = f"election timeouts of {run.election_timeout:g} s"
    says = f"longest time without an acknowledged write in {unit}, {_where(run)}"
    shares = (turn.outage / run.election_timeout for turn in turns)
    return _times("elections_gap", says, "", run.expectation.elections_gap, shares)


def _where(run: Run) -> str:
    return ", ".join(run.concerned) or "every group"


def _others_gap(run: Run, turns: list[TurnCost]) -> Judged | None:
    says = "longest time without an acknowledged write, the other groups"
    gaps = (max(group.outage for group in turn.others()) for turn in turns if turn.others())
    return _of_others(turns, _times("others_gap", says, " s", run.expectation.others_gap, gaps))


def _others_slower(run: Run, turns: list[TurnCost]) -> Judged | None:
    says = "the other groups' p99 during the fault, as a multiple of that before"
    factors = (factor for turn in turns if (factor := _slower(turn)) is not None)
    limit = run.expectation.others_slower
    return _of_others(turns, _times("others_slower", says, "", limit, factors))


def _slower(turn: TurnCost) -> float | None:
    """How much greater the p99 is during the fault than before it, where it has grown most."""
    factors = (
        cost.latencies[Period.DURING].p99 / cost.latencies[Period.BEFORE].p99
        for cost in turn.others()
        if Period.DURING in cost.latencies and Period.BEFORE in cost.latencies
    )
    return max(factors, default=None)


def _of_others(turns: list[TurnCost], judged: Judged | None) -> Judged | None:
    """The limit, unless the faults concern every group."""
    return judged if any(turn.others() for turn in turns) else None


def _errors(run: Run, costs: Sequence[Cost]) -> Judged | None:
    errors = (sum(cost.errors.values()) for cost in costs)
    return _counts("errors", "errors that clients saw", run.expectation.errors, errors)


def _elections(run: Run, turns: list[TurnCost]) -> Judged | None:
    elections = (turn.elections for turn in turns)
    return _counts("elections", "new primaries for one fault", run.expectation.elections, elections)


def _whole(run: Run, turns: list[TurnCost]) -> Judged | None:
    says = "time from the end of the fault to full redundancy"
    times = [turn.whole - (turn.undone or 0.0) for turn in turns if turn.whole is not None]
    all_seen = len(times) == len(turns)
    return _times("whole", says, " s", run.expectation.whole, times if all_seen else ())


def _times(
    name: str, says: str, unit: str, limit: float | None, values: Iterable[float]
) -> Judged | None:
    given = tuple(values)
    if limit is None:
        return None
    measured = statistics.median(given) if given else None
    met = measured is not None and measured <= limit
    return Judged(name, says, unit, "median", limit, given, measured, met)


def _counts(name: str, says: str, limit: int | None, values: Iterable[int]) -> Judged | None:
    given = tuple(map(float, values))
    if limit is None:
        return None
    most = max(given, default=None)
    met = most is not None and most <= limit
    return Judged(name, says, "", "most", float(limit), given, most, met)

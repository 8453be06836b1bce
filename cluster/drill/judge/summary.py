"""A history in figures: how many calls, how slow, how long the gaps, what is amiss."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from cluster.drill.history import AUDITOR, Call, Guarantee, History, Kind, Outcome
from cluster.drill.judge.checker import Violation, check

SHOWN = 20
"""Violations and errors that `Report.text` spells out; the rest is counted."""


@dataclass(frozen=True)
class Gap:
    """The longest time without an acknowledged write, and when it began, in seconds."""

    seconds: float
    since: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds that acknowledged calls took (`Call.took`)."""

    count: int
    p50: float
    p95: float
    p99: float
    longest: float


@dataclass(frozen=True)
class Report:
    """What a history shows. Times are seconds since its first call.

    `counts` is by kind and outcome; `gaps` is for each group, and "all" for all together; `errors`
    counts the clients' errors by their text; `unverified` is the number of acknowledged writes
    that no acknowledged read which had to see them looked for afterwards: nobody would see a loss.
    """

    seconds: float
    counts: dict[str, dict[str, int]]
    gaps: dict[str, Gap]
    latencies: dict[str, Latency]
    errors: dict[str, int]
    unverified: int
    marks: list[tuple[float, str]]
    violations: list[Violation]

    @property
    def acknowledged_writes(self) -> int:
        """Calls that were acknowledged and are not reads."""
        kinds = (Kind.INSERT, Kind.APPEND, Kind.DELETE)
        return sum(self.counts.get(kind, {}).get(Outcome.OK, 0) for kind in kinds)

    def as_json(self) -> dict[str, Any]:
        """The report as plain values; a violation as its rule, key and sentence."""
        plain = {
            name: value for name, value in vars(self).items() if name not in ("gaps", "latencies")
        }
        plain["violations"] = [
            {"rule": v.rule.value, "key": v.key, "sentence": v.sentence} for v in self.violations
        ]
        plain["gaps"] = {group: asdict(gap) for group, gap in self.gaps.items()}
        plain["latencies"] = {kind: asdict(value) for kind, value in self.latencies.items()}
        return plain

    def text(self) -> str:
        """The report in words, one line for each figure."""
        lines = [f"{self.acknowledged_writes} acknowledged writes in {self.seconds:.1f} s"]
        lines += [f"at {at:.3f} s: {text}" for at, text in self.marks]
        for kind, outcomes in self.counts.items():
            told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
            lines.append(f"{kind}: {told}")
        for kind, late in self.latencies.items():
            lines.append(
                f"{kind} latency: p50 {late.p50:.1f} ms, p95 {late.p95:.1f} ms,"
                f" p99 {late.p99:.1f} ms, longest {late.longest:.1f} ms"
            )
        for group, gap in self.gaps.items():
            lines.append(
                f"longest gap between acknowledged writes, {group}:"
                f" {gap.seconds:.3f} s, from {gap.since:.3f} s on"
            )
        lines.append(f"client errors: {sum(self.errors.values())}")
        lines += [f"  {number} times {text}" for text, number in list(self.errors.items())[:SHOWN]]
        if self.unverified:
            lines.append(f"acknowledged writes that nothing looked for: {self.unverified}")
        lines.append(f"violations: {len(self.violations)}")
        lines += [f"  {v.rule.value}: {v.sentence}" for v in self.violations[:SHOWN]]
        return "\n".join(lines)


def summarise(history: History) -> Report:
    """Check the history and count everything in it. Raises HistoryError as `check` does."""
    load = [call for call in history.calls if call.client != AUDITOR]
    begin = min((call.begin for call in load), default=0)
    end = max((call.end for call in load), default=0)
    counts: dict[str, Counter[str]] = {}
    for call in load:
        counts.setdefault(call.kind.value, Counter())[call.outcome.value] += 1
    errors = Counter(call.error for call in load if call.erred)
    return Report(
        seconds=(end - begin) / 1e9,
        counts={kind: dict(counts[kind]) for kind in sorted(counts)},
        gaps=gaps(load, begin, end),
        latencies=_latencies(load),
        errors=dict(errors.most_common()),
        unverified=unverified(history.calls),
        marks=[((mark.at - begin) / 1e9, mark.text) for mark in history.marks],
        violations=check(history),
    )


def gaps(load: list[Call], begin: int, end: int) -> dict[str, Gap]:
    """The longest gap of each group. `begin` and `end` bound the first and the last one."""
    moments: dict[str, list[int]] = {"all": []}
    for call in load:
        if call.writes:
            moments.setdefault(call.group, [])
        if call.acknowledged_write:
            moments["all"].append(call.end)
            moments[call.group].append(call.end)
    longest = {}
    for group, ends in sorted(moments.items()):
        length, since = max(
            (later - earlier, earlier) for earlier, later in pairwise([begin, *sorted(ends), end])
        )
        longest[group or "?"] = Gap(length / 1e9, (since - begin) / 1e9)
    return longest


def _latencies(load: Iterable[Call]) -> dict[str, Latency]:
    took: dict[str, list[float]] = {}
    for call in load:
        if call.outcome is Outcome.OK:
            took.setdefault(call.kind.value, []).append(call.took / 1e6)
    return {kind: latency(took[kind]) for kind in sorted(took)}


def latency(milliseconds: list[float]) -> Latency:
    """The percentiles of at least one latency, by the nearest rank."""
    ranked = sorted(milliseconds)

    def percentile(share: float) -> float:
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]

    return Latency(len(ranked), percentile(0.5), percentile(0.95), percentile(0.99), ranked[-1])


def unverified(calls: list[Call]) -> int:
    """How many acknowledged writes no read looked for afterwards that had to see them."""
    looked: dict[str, int] = {}
    for call in calls:
        if (
            call.kind is Kind.READ
            and call.outcome is Outcome.OK
            and call.guarantee in (Guarantee.LINEARIZABLE, Guarantee.LOCAL)
        ):
            looked[call.key] = max(looked.get(call.key, call.begin), call.begin)
    return sum(
        call.acknowledged_write and looked.get(call.key, call.end) <= call.end for call in calls
    )

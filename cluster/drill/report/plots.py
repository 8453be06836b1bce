"""The plots of a report: what a run's calls did over time, and how the outages are distributed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.ticker import FuncFormatter, NullFormatter

from cluster.drill.history import AUDITOR, Call, History, Outcome
from cluster.drill.judge.measures import Distribution, Period
from cluster.drill.judge.summary import latency
from cluster.drill.record import What
from cluster.drill.report.results import CallShown, Results
from cluster.drill.report.svg import DASHES, SERIES, SMALL, Ink, Plot, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BINS = 120
"""Stretches of time that a plot over time has at most."""
SHORTEST = 0.1
"""Seconds of a stretch at least."""
MARKED = {
    What.FAULT: ("fault", Ink.BAD, "-"),
    What.PRIMARY: ("primary", Ink.TEXT, "--"),
    What.UNDONE: ("undone", Ink.TEXT, ":"),
    What.WHOLE: ("whole", Ink.TEXT, "-."),
}
"""The events that plots over time show: word, colour, line."""
BARS = 50
"""Of a histogram."""
FEW = 2
"""Faults of a run up to which a plot over time marks everything."""
LEVELS = 3
"""Rows for the words of events that are close to one another."""


def over_time(results: Results, history: History, origin: int) -> list[Plot]:
    """For each group: acknowledged calls in a second, and how long calls took."""
    load = [call for call in history.calls if call.client != AUDITOR]
    if not load:
        return []
    end = (max(call.end for call in load) - origin) / 1e9
    groups = sorted({call.group for call in load})
    return [
        _group_over_time(results, name, [c for c in load if c.group == name], origin, end)
        for name in groups
    ]


def _group_over_time(
    results: Results, name: str, calls: list[Call], origin: int, end: float
) -> Plot:
    width = max(SHORTEST, end / BINS)
    good, bad = (_binned(calls, origin, width, int(end / width), ok=ok) for ok in (True, False))
    moments = [(number + 0.5) * width for number in range(len(good))]
    longest = [max(some, default=math.nan) for some in good]
    medians = [statistics.median(some) if some else math.nan for some in good]
    errors = [max(some, default=math.nan) for some in bad]
    seen = [value for value in (*longest, *medians, *errors) if value > 0]

    def draw(figure: Figure) -> None:
        rate, slow = figure.subplots(2, 1, sharex=True)
        rate.step(moments, [len(some) / width for some in good], where="mid", color=SERIES[0])
        rate.set_ylabel("calls/s")
        rate.set_ylim(bottom=0)
        slow.plot(moments, longest, ".", color=SERIES[1], label="longest")
        slow.plot(moments, medians, "-", color=SERIES[0], label="median")
        if any(bad):
            slow.plot(moments, errors, "x", color=Ink.BAD, label="longest that failed")
        if seen:
            slow.set_yscale("log")
            slow.set_ylim(*_decades(min(seen), max(seen)))
            _of_milliseconds(slow.yaxis)
        figure.legend(loc="outside lower center", ncols=3, fontsize=SMALL)
        slow.set_ylabel("latency")
        slow.set_xlabel("seconds since the run began")
        slow.set_xlim(0, end)
        marked = _marked(results)
        _mark(rate, marked, words=True)
        _mark(slow, marked, words=False)

    costs = [turn.groups[name] for turn in results.cost.turns if name in turn.groups]
    outages = ", ".join(f"{cost.outage:.2f} s" for cost in costs) or "not measured"
    about = "which the fault is about" if name in results.concerned else "which it is not about"
    return plot(
        f"{name or 'all'} over time",
        f"Above, acknowledged calls in a second; below, the median and the longest latency, of "
        f"{name or 'all'}, {about}. Longest time without an acknowledged write: {outages}. "
        f"{_told(results)}",
        draw,
        height=3.6,
    )


def _binned(
    calls: list[Call], origin: int, width: float, count: int, *, ok: bool
) -> list[list[float]]:
    """The milliseconds that calls took, by the stretch of time in which they ended; what ended in
    the rest of the last stretch is left out.
    """
    bins: list[list[float]] = [[] for _ in range(max(1, count))]
    for call in calls:
        at = max(0, int((call.end - origin) / 1e9 / width))
        if call.erred is not ok and at < len(bins):
            bins[at].append(max(call.took / 1e6, 0.001))
    return bins


def _of_milliseconds(axis: Axis) -> None:
    axis.set_major_formatter(FuncFormatter(_milliseconds))
    axis.set_minor_formatter(NullFormatter())


def _decades(least: float, most: float) -> tuple[float, float]:
    """The powers of ten around these."""
    low, high = math.floor(math.log10(max(least, 0.001))), math.ceil(math.log10(max(most, 0.001)))
    return 10.0**low, 10.0 ** max(high, low + 1)


def _milliseconds(value: float, _: int | None = None) -> str:
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


class _Marked(NamedTuple):
    """A line of a plot over time: when, its word, its colour and its dashes."""

    at: float
    word: str
    ink: Ink
    dashes: str


def _marked(results: Results) -> list[_Marked]:
    """What is marked: every event; of a run with many faults the faults alone, by their number."""
    turns = sorted({event.turn for event in results.events if event.what == What.FAULT})
    several = len(turns) > FEW
    first = min((event.at for event in results.events if event.what == What.FAULT), default=0.0)
    found = []
    for event in sorted(results.events, key=lambda e: e.at):
        if event.what not in MARKED or (several and event.what != What.FAULT):
            continue
        if event.at < first:
            continue  # who was primary at the beginning
        word, ink, dashes = MARKED[What(event.what)]
        number = str(turns.index(event.turn) + 1) if several else word
        found.append(_Marked(event.at, number, ink, dashes))
    return found


def _told(results: Results) -> str:
    marked = [f"{one.word} at {one.at:.2f} s" for one in _marked(results)]
    return f"Marked: {', '.join(marked)}." if marked else "Nothing is marked."


def _mark(axes: Axes, marked: Sequence[_Marked], *, words: bool) -> None:
    """Draw a line for each event, and above it, in the first row that has room, its word."""
    left, right = axes.get_xlim()
    rows = [left - (right - left)] * LEVELS
    for one in marked:
        if not left <= one.at <= right:
            continue
        axes.axvline(one.at, color=one.ink, linestyle=one.dashes, linewidth=1.1)
        level = next((row for row, free in enumerate(rows) if one.at >= free), None)
        if not words or level is None:
            continue
        rows[level] = one.at + (right - left) * (0.03 + 0.022 * len(one.word))
        axes.annotate(
            one.word,
            (one.at, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(1, 2 + 11 * level),
            textcoords="offset points",
            color=one.ink,
            fontsize=SMALL,
            annotation_clip=False,
        )


# ---- latencies and outages ---------------------------------------------------------------------


def latencies(title: str, took: dict[Period, list[float]]) -> Plot:
    """A histogram of latencies before, during and after the faults; milliseconds."""
    there = {period: values for period, values in took.items() if values}
    least = min((min(values) for values in there.values()), default=1.0)
    most = max((max(values) for values in there.values()), default=10.0)
    low, high = _decades(least, most)
    edges = [low * (high / low) ** (n / BARS) for n in range(BARS + 1)]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for number, (period, values) in enumerate(there.items()):
            axes.hist(
                values,
                bins=edges,
                weights=[100 / len(values)] * len(values),
                histtype="step",
                color=SERIES[number],
                linestyle=DASHES[number],
                linewidth=1.4,
                label=f"{period} ({len(values):,})",
            )
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        _of_milliseconds(axes.xaxis)
        axes.set_xlabel("latency")
        axes.set_ylabel("% of the calls")
        figure.legend(loc="outside lower center", ncols=3, fontsize=SMALL)

    told = [
        f"{period}: median {_milliseconds(round(found.p50, 1))}, 99 % within"
        f" {_milliseconds(round(found.p99, 1))}, longest {_milliseconds(round(found.longest, 1))}"
        for period, values in there.items()
        for found in [latency(values)]
    ]
    return plot(title, f"How long acknowledged calls took. {'; '.join(told)}.", draw)


def outages(title: str, series: dict[str, Distribution]) -> Plot:
    """The share of faults whose outage was at most so long (ECDF), a line for each series."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for number, (name, found) in enumerate(series.items()):
            axes.ecdf(
                found.values,
                color=SERIES[number % len(SERIES)],
                linestyle=DASHES[number % len(DASHES)],
                label=_short(name),
            )
        axes.set_xlabel("seconds without an acknowledged write")
        axes.set_ylabel("share of the faults")
        axes.set_xlim(left=0)
        axes.set_ylim(0, 1.05)
        if len(series) > 1:
            figure.legend(loc="outside lower center", fontsize=SMALL)

    told = [
        f"{name}: {len(one.values)} faults, median {one.median:.2f} s, 90 % within {one.p90:.2f} s,"
        f" worst {one.worst:.2f} s"
        for name, one in series.items()
    ]
    return plot(title, f"{'; '.join(told)}.", draw)


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# ---- a violation -------------------------------------------------------------------------------


def violation(title: str, calls: Sequence[CallShown], others: Sequence[CallShown]) -> Plot:
    """The calls that show a violation, client by client over time; in faint lines, other calls on
    the key in those moments.
    """
    begin, end = min(c.begin for c in calls), max(c.end for c in calls)
    near = [c for c in others if c.end >= begin and c.begin <= end and c not in calls]
    clients = sorted({c.client for c in [*calls, *near]}, key=lambda c: (c is None, c or 0))
    lane = {client: number for number, client in enumerate(reversed(clients))}
    least = max((end - begin) / 150, 1e-6)  # however short a call was, it can be seen

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for call in near:
            axes.barh(
                lane[call.client],
                max(call.end - call.begin, least),
                0.3,
                call.begin,
                color=Ink.GRID,
            )
        for number, call in enumerate(calls):
            ink = Ink.BAD if call.outcome != Outcome.OK else SERIES[_KINDS.index(call.kind)]
            length = max(call.end - call.begin, least)
            axes.barh(lane[call.client], length, 0.5, call.begin, color=ink)
            axes.annotate(
                str(number + 1),
                (call.begin + length / 2, lane[call.client] + 0.28),
                ha="center",
                va="bottom",
                fontsize=SMALL,
            )
        axes.set_yticks(list(lane.values()), [_who(client) for client in lane])
        axes.set_ylim(-0.6, len(lane) - 0.3)
        axes.margins(x=0.05)
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.set_xlabel("seconds since the run began; the numbers are those of the list")

    told = "; ".join(f"{n}, {_who(c.client)}: {sentence(c)}" for n, c in enumerate(calls, 1))
    return plot(title, f"The calls by client and time. {told}.", draw, 1.2 + 0.45 * len(lane))


_KINDS = ("insert", "append", "read", "delete")


def _who(client: int | None) -> str:
    return "auditor" if client is None else f"client {client}"


def sentence(call: CallShown) -> str:
    """A call in words."""
    what = f'{call.kind} of "{call.token}"' if call.token else call.kind
    came = {"ok": "acknowledged", "failed": "failed", "unknown": "without an answer"}
    saw = ""
    if call.outcome == "ok" and call.found == 0:
        saw = ", found nothing"
    elif call.tokens is not None:
        saw = f", saw {' '.join(call.tokens)}"
        if call.version != len(call.tokens):
            saw += f" with a count of {call.version}"
    return f"{what} from {call.begin:.3f} to {call.end:.3f} s, {came[call.outcome]}{saw}"

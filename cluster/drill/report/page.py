"""`report.html`: a run in one file that needs nothing from outside and no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from cluster.drill.history import AUDITOR, History, Outcome
from cluster.drill.judge.expectations import number
from cluster.drill.judge.logs import clues
from cluster.drill.judge.measures import Distribution, Period, period_of
from cluster.drill.judge.verdict import Reading, Status
from cluster.drill.record import Run
from cluster.drill.report.comparison import HEAD, Row, rows
from cluster.drill.report.plots import latencies, outages, over_time, sentence, violation
from cluster.drill.report.results import Results, results, shown
from cluster.drill.report.svg import Plot
from cluster.errors import DrillError

Table = Sequence[Sequence[str]]
LINES = 200
"""Of the servers' logs, that a page shows."""

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1b1f24; --faint: #59636e;
  --grid: #d5dae0; --bad: #b3261e; --good: #19692c; --warn: #7a5200; --soft: #f4f6f8;
  --series-0: #0062a3; --series-1: #b34700; --series-2: #00795a; --series-3: #9c3d78;
  --series-4: #6b5a00; --series-5: #4a4fc4; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --text: #e8eaed; --faint: #a3adb8;
  --grid: #363d46; --bad: #ff8a80; --good: #7ddb93; --warn: #ffd479; --soft: #1e2329;
  --series-0: #6db8f2; --series-1: #ff9d57; --series-2: #4fd1a5; --series-3: #f0a3d0;
  --series-4: #dcc64d; --series-5: #b0b3ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem clamp(1rem, 4vw, 2.5rem) 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, ul, ol { max-width: 46rem; }
code, .log { font: .875rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.verdict { display: inline-block; font-weight: 600; padding: .3rem .75rem; border-radius: .4rem;
  border: 2px solid currentColor; }
.passed, .met { color: var(--good); } .missed { color: var(--warn); }
.broken, .proves-nothing { color: var(--bad); }
.scroll { overflow-x: auto; margin: 0 0 1.25rem; } .scroll:focus-visible, summary:focus-visible {
  outline: 3px solid var(--series-0); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.caption { color: var(--faint); margin: 1.25rem 0 .25rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0;
  border-bottom: 1px solid var(--grid); }
th { font-weight: 600; } td.number, th.number { text-align: right; white-space: nowrap; }
td.words { min-width: 9rem; overflow-wrap: anywhere; } th.number { white-space: normal; }
thead th { color: var(--faint); font-weight: 500; }
.plots { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fit,
  minmax(min(100%, 28rem), 1fr)); }
figure { margin: 0; } figcaption { font-weight: 600; padding-bottom: .25rem; }
figure svg { width: 100%; height: auto; max-width: 44rem; display: block; }
svg text { font-family: system-ui, sans-serif; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .25rem 1.25rem; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
"""


def render(reading: Reading, found: Results | None = None) -> str:
    """The page of a run. Raises DrillError: matplotlib, which draws its plots, is missing."""
    found = found or results(reading)
    title = f"{found.title}: {found.says}"
    parts = [
        _head(found),
        _section("What was found", _found(found)),
        _section("What it cost", _cost(found)),
        _section("Plots", _figures(_plots(reading, found))),
        _section("What is wrong", _violations(reading, found)) if found.violations else "",
        _section("What happened", _events(found)),
        _section("What the servers logged", _logged(reading)),
        _section("Under which conditions", _conditions(reading, found)),
    ]
    return _page(title, "\n".join(parts))


def render_several(readings: Sequence[Reading]) -> str:
    """A page that shows several runs side by side, and how their outages are distributed."""
    table = rows(readings)
    series = {row.label: row.outage for row in table if row.outage is not None}
    body = [f"<h1>Drills: {len(readings)} runs</h1>", _compared(table)]
    if series:
        body.append(_section("Plots", _figures([outages("Outages of all faults", series)])))
    files = _list(str(one.folder) for one in readings)
    return _page(f"Drills: {len(readings)} runs", "\n".join([*body, _section("Runs", files)]))


def write(file: Path, page: str) -> Path:
    """Put a page into a file, whole or not at all; where it is. Raises DrillError."""
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_text(page, encoding="utf-8")
        new.replace(file)
    except OSError as error:
        raise DrillError(f"{file} cannot be written: {error.strerror}.") from error
    return file


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"


def _table(caption: str, head: Sequence[str], body: Table) -> str:
    """A table that scrolls by itself where it is too wide. A column whose cells all begin with a
    digit, or are empty, is one of numbers; one of long texts is kept wide enough to be read.
    """
    kinds = [_kind([row[at] for row in body]) for at in range(len(head))]

    def cell(tag: str, at: int, text: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        kind = MARKS.get(text, kinds[at])
        called = f' class="{kind}"' if kind else ""
        return f"<{tag}{scope}{called}>{escape(text)}</{tag}>"

    top = "".join(cell("th", at, text) for at, text in enumerate(head))
    lines = ["".join(cell("td", at, text) for at, text in enumerate(row)) for row in body]
    return (
        f'<p class="caption">{escape(caption)}</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table aria-label="{escape(caption)}"><thead><tr>{top}</tr></thead><tbody>'
        f"{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table></div>"
    )


MARKS = {"met": "met", "MISSED": "missed"}
LONG = 24
"""Characters from which on a text is a long one."""


def _kind(column: Sequence[str]) -> str:
    if all(text in ("", "-") or text[0].isdigit() for text in column):
        return "number"
    return "words" if any(len(text) > LONG for text in column) else ""


# ---- the parts of a run's page -----------------------------------------------------------------


def _head(found: Results) -> str:
    status = Status(found.status).name.lower().replace("_", "-")
    where = f"{found.target}, through {found.through}"
    return (
        f"<header><h1>{escape(found.title)}</h1>"
        f'<p><strong class="verdict {status}">{escape(found.says)}</strong></p>'
        f"<p>{escape(found.hypothesis)}</p>"
        f"<p>{escape(found.scenario)} on {escape(where)}, {escape(found.began)}, "
        f"seed {found.seed}</p></header>"
    )


def _found(found: Results) -> str:
    writes = f"{found.cost.acknowledged_writes:,} acknowledged writes"
    lines = [f"Promises about the data that were broken: {len(found.violations)}, of {writes}."]
    lines += [f"It proves nothing: {reason}." for reason in found.failed]
    lines += [f"Found afterwards: {finding}." for finding in found.findings]
    lines += [f"Note: {note}." for note in found.notes]
    body = [
        (
            "met" if one.met else "MISSED",
            one.says,
            "not measured" if one.measured is None else f"{number(one.measured)}{one.unit}",
            f"{number(one.limit)}{one.unit}",
        )
        for one in found.expectations
    ]
    head = ("", "what was expected", "measured", "allowed")
    caption = "Times are judged by the median of all faults, counts by the greatest"
    return _list(lines) + (_table(caption, head, body) if body else "")


def _cost(found: Results) -> str:
    turns = [
        (
            str(n),
            turn.what,
            "; ".join(turn.evidence) or "none",
            f"{turn.fault:.2f}",
            *(_seconds(at) for at in (turn.detected, turn.elected, turn.undone, turn.whole)),
            str(turn.elections),
            ", ".join(f"{name}: {count}" for name, count in turn.errors.items()) or "0",
        )
        for n, turn in enumerate(found.cost.turns, 1)
    ]
    head = ("", "fault", "evidence", "at (s)", "detected", "elected", "undone", "whole")
    first = _table(
        "Each fault; seconds since the run began, and from there on since the fault",
        (*head, "elections", "errors"),
        turns,
    )
    groups = [line for number, _ in enumerate(turns) for line in _groups(found, number)]
    periods = [f"{period} (ms)" for period in Period]
    columns = ("fault", "group", "outage (s)", "again after (s)", *periods, "late")
    caption = (
        "Each group: its longest time without an acknowledged write, when it was over, the median,"
        " the 99th percentile and the longest latency, calls that took more than a second"
    )
    return first + _table(caption, columns, groups) if turns else "<p>There was no fault.</p>"


def _groups(found: Results, number: int) -> Iterable[Sequence[str]]:
    for name, group in found.cost.turns[number].groups.items():
        figures = (
            f"{late.p50:.0f} / {late.p99:.0f} / {late.longest:.0f}" if late else "-"
            for late in map(group.latencies.get, Period)
        )
        label = f"{name} (concerned)" if group.concerned else name
        again = _seconds(group.again) if group.concerned else "-"  # a pause of the others is none
        outage = f"{group.outage:.2f}"
        yield (str(number + 1), label, outage, again, *figures, str(sum(group.late.values())))


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _plots(reading: Reading, found: Results) -> list[Plot]:
    made = over_time(found, reading.history, reading.run.origin)
    for title, concerned in (("groups that the fault is about", True), ("other groups", False)):
        took = _took(reading.run, reading.history, concerned=concerned)
        if any(took.values()):
            made.append(latencies(f"Latency of the {title}", took))
    spread: Distribution | None = found.cost.outages
    if spread is not None and len(spread.values) > 1:
        made.append(outages("Outages, fault by fault", {found.title: spread}))
    return made


def _took(run: Run, history: History, *, concerned: bool) -> dict[Period, list[float]]:
    """The milliseconds of acknowledged calls, by the part of the turn that they belong to."""
    belongs = period_of(run, history)
    took: dict[Period, list[float]] = {period: [] for period in Period}
    for call in history.calls:
        if call.client == AUDITOR or call.outcome is not Outcome.OK:
            continue
        if (call.group in run.concerned) is concerned and (period := belongs(call)) is not None:
            took[period].append(max(call.took / 1e6, 0.001))
    return took


def _figures(plots: Iterable[Plot]) -> str:
    inner = "".join(
        f"<figure><figcaption>{escape(one.title)}</figcaption>{one.svg}</figure>" for one in plots
    )
    return f'<div class="plots">{inner}</div>'


def _violations(reading: Reading, found: Results) -> str:
    parts = []
    for n, one in enumerate(found.violations, 1):
        parts.append(f"<h3>{n}. {escape(one.rule)}</h3><p>{escape(one.sentence)}</p>")
        if not one.smallest:
            continue
        key = [shown(c, reading.run.origin) for c in reading.history.by_key() if c.key == one.key]
        chart = violation(f"Violation {n}: {one.rule}, {one.key}", one.smallest, key)
        calls = "".join(f"<li>{escape(sentence(call))}</li>" for call in one.smallest)
        parts.append(
            f"<p>The fewest calls on {escape(one.key)} that show it:</p><ol>{calls}</ol>"
            f"{_figures([chart])}"
        )
    return "".join(parts)


def _events(found: Results) -> str:
    body = [
        (f"{e.at:.3f}", e.what, e.text or f"{e.node} of {e.set_name} in term {e.term}")
        for e in found.events
    ]
    return _table("Seconds since the run began", ("at (s)", "", "what"), body)


def _logged(reading: Reading) -> str:
    lines = clues(reading.folder, reading.run)
    kept = lines[:LINES]
    body = [(f"{line.at:.3f}", line.node, line.level, line.text) for line in kept]
    if not body:
        return "<p>There are no logs, or they tell of nothing.</p>"
    more = f" The first {LINES} of {len(lines)}." if len(lines) > LINES else ""
    caption = f"Elections, members that went and came, warnings and errors.{more}"
    table = _table(caption, ("at (s)", "node", "", "what"), body)
    return f"<details><summary>{len(kept)} lines</summary>{table}</details>"


def _conditions(reading: Reading, found: Results) -> str:
    load = found.load
    share = "not measured" if load.share is None else f"{load.share:.0%} of {load.maximum:.0f} in a"
    share += "" if load.share is None else " second, what the target answers at most"
    kind = f"at a fixed rate of {load.asked:g} calls in a second" if load.asked else "closed loop"
    items = {
        "load": f"{load.clients} clients, {kind}: {load.rate:.0f} calls/s before the fault",
        "share of the maximum": share,
        "the drill's own use": f"{load.cpu:.2f} cores",
        "election timeout": f"{found.election_timeout:g} s",
        "seed": str(found.seed),
        **{f"drawn: {name}": value for name, value in found.drawn.items()},
        **found.settings,
        **{f"version of {name}": value for name, value in found.versions.items()},
        "record": str(reading.folder),
    }
    logs = sorted(p.name for p in (reading.folder / "logs").glob("*") if p.is_file())
    if logs:
        items["logs of those seconds"] = ", ".join(f"logs/{name}" for name in logs)
    inner = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in items.items())
    return f"<dl>{inner}</dl>"


def _compared(table: Sequence[Row]) -> str:
    caption = "Times in seconds: the smallest, the median and the greatest of all faults"
    return _table(caption, HEAD, [row.cells() for row in table])

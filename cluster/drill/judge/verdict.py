"""Whether a run held what it promises: nothing lost or doubled, and within its expectation.

`judge` reads a run's folder and speaks to no server, so an old run can be judged again. The
statuses are what `drill` ends with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import msgspec
from msgspec.structs import replace

from cluster.drill import history as histories
from cluster.drill import record
from cluster.drill.history import History, HistoryError
from cluster.drill.judge.checker import Violation, check, steps_back
from cluster.drill.judge.expectations import Judged, hold
from cluster.drill.judge.logs import detections
from cluster.drill.judge.measures import Cost, measure
from cluster.drill.judge.summary import unverified
from cluster.drill.record import Run, What
from cluster.errors import DrillError

HISTORY = "history.jsonl"
SHOWN = 10
"""Violations that a text spells out; the rest is counted."""
COUNTS = ("faults",)
"""Settings that say how often something was done, and not how."""
BUSY = 0.4
"""Cores from which on the drill's own load may have held up what it measures."""


class Status(IntEnum):
    """What a drill ends with."""

    PASSED = 0
    MISSED = 1  # an expectation was not met
    BROKEN = 2  # something acknowledged was lost or doubled, or a finding says as much
    PROVES_NOTHING = 3  # it could not run, or the fault took no effect


GRAVITY = (Status.PASSED, Status.MISSED, Status.PROVES_NOTHING, Status.BROKEN)
"""From the best to the worst, which is the verdict of several runs."""


@dataclass(frozen=True)
class Reading:
    """What a run's folder holds, and what follows from it."""

    folder: Path
    run: Run
    history: History
    violations: list[Violation]
    cost: Cost


class Verdict(msgspec.Struct, frozen=True):
    """The judgement of one run, or of several runs of one scenario under the same conditions.

    `folders` are those of the runs. `failed` says why a run proves nothing, `notes` what one should
    know of the figures.
    """

    title: str
    folders: tuple[str, ...]
    status: Status
    acknowledged_writes: int
    violations: tuple[str, ...]
    findings: tuple[str, ...]
    failed: tuple[str, ...]
    judged: tuple[Judged, ...]
    notes: tuple[str, ...]

    def text(self) -> str:
        """The verdict in sentences, a line each; the first one sums it up."""
        runs = len(self.folders)
        several = f", {runs} runs" if runs > 1 else ""
        lines = [f"{self.title}{several}: {SAYS[self.status]}"]
        lines += [f"  {folder}" for folder in self.folders]
        lines += [f"  proves nothing: {reason}" for reason in self.failed]
        if self.violations:
            lines.append(f"  promises about the data that were broken: {len(self.violations)}")
            lines += [f"    {told}" for told in self.violations[:SHOWN]]
            if len(self.violations) > SHOWN:
                lines.append(f"    … and {len(self.violations) - SHOWN} more")
        else:
            lines.append(f"  nothing of {self.acknowledged_writes:,} acknowledged writes is wrong")
        lines += [f"  found afterwards: {finding}" for finding in self.findings]
        lines += [f"  {'met   ' if one.met else 'MISSED'}  {one.text()}" for one in self.judged]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


SAYS = {
    Status.PASSED: "passed",
    Status.MISSED: "an expectation was MISSED",
    Status.BROKEN: "something acknowledged was LOST OR DOUBLED",
    Status.PROVES_NOTHING: "it PROVES NOTHING",
}


def read(folder: Path) -> Reading:
    """Read and check a run's folder. Raises DrillError: it is none, or cannot be judged."""
    run = record.read(folder)
    before_its_load = run.failed and not (folder / HISTORY).exists()
    history = History() if before_its_load else read_history(folder)
    if not run.events_of(What.DETECTED):
        events = sorted([*run.events, *detections(folder, run)], key=lambda event: event.at)
        run = replace(run, events=tuple(events))
    try:
        violations = check(history)
    except HistoryError as error:
        raise DrillError(f"the history of {folder} cannot be judged: {error}") from error
    return Reading(folder, run, history, violations, measure(run, history))


def read_history(folder: Path) -> History:
    """The history of a run. Raises DrillError: there is none, or it is damaged."""
    file = folder / HISTORY
    try:
        return histories.read(file)
    except FileNotFoundError as error:
        raise DrillError(f"{folder} has no history.jsonl: there is nothing to judge.") from error
    except (OSError, HistoryError) as error:
        raise DrillError(f"{file} cannot be read: {error}") from error


def judge(folder: Path) -> Verdict:
    """Judge one run. Raises DrillError as `read` does."""
    return verdict([read(folder)])


def judge_all(readings: Iterable[Reading]) -> list[Verdict]:
    """Judge several runs: those of one scenario under the same conditions together."""
    return [verdict(several) for several in alike(readings)]


def worst(verdicts: Iterable[Verdict]) -> Status:
    """The gravest status; PASSED of nothing."""
    return max((v.status for v in verdicts), key=GRAVITY.index, default=Status.PASSED)


def alike(readings: Iterable[Reading]) -> list[list[Reading]]:
    """The readings by scenario and conditions, in the order of their first."""
    found: dict[object, list[Reading]] = {}
    for one in readings:
        same = (one.run.scenario, one.run.expectation, frozenset(conditions(one.run).items()))
        found.setdefault(same, []).append(one)
    return list(found.values())


def conditions(run: Run) -> dict[str, str]:
    """What runs of one scenario must share for their figures to be one distribution.

    The rate of a load counts as a share of what the target answers at most, to the nearest tenth:
    so the same drill on another day, or another machine, has the same load.
    """
    load, settings = run.load, {k: v for k, v in run.settings.items() if k not in COUNTS}
    amount = f"{load.clients} clients"
    if load.rate:
        share = round(10 * load.rate / load.maximum) * 10 if load.maximum else 0
        amount = f"{share} % of the maximum" if load.maximum else f"{load.rate:g} calls/s"
    own = {"election timeout": f"{run.election_timeout:g} s"}
    asked = {"on": run.target, "through": run.through, "load": amount}
    return asked | own | settings | run.versions


def verdict(readings: Sequence[Reading]) -> Verdict:
    """Judge runs of one scenario under the same conditions together: at least one."""
    run = readings[0].run
    violations = tuple(f"{v.rule.value}: {v.sentence}" for r in readings for v in r.violations)
    findings = tuple(finding for r in readings for finding in r.run.findings)
    failed = tuple(reason for r in readings for reason in _failures(r))
    judged = () if failed else tuple(hold([r.run for r in readings], [r.cost for r in readings]))
    status = Status.PASSED
    if violations or findings:
        status = Status.BROKEN
    elif failed:
        status = Status.PROVES_NOTHING
    elif not all(one.met for one in judged):
        status = Status.MISSED
    return Verdict(
        title=f"{run.title} ({run.scenario}, {run.target}, through {run.through})",
        folders=tuple(str(one.folder) for one in readings),
        status=status,
        acknowledged_writes=sum(r.cost.acknowledged_writes for r in readings),
        violations=violations,
        findings=findings,
        failed=failed,
        judged=judged,
        notes=tuple(dict.fromkeys(note for r in readings for note in _notes(r))),
    )


def _failures(reading: Reading) -> list[str]:
    """Why the run proves nothing."""
    run, found = reading.run, []
    if run.failed:
        found.append(run.failed)
    else:
        found += [f"it was stopped: {event.text}" for event in run.events_of(What.STOPPED)]
    if not reading.cost.turns and not found:
        found.append("no fault was done")
    for turn in reading.cost.turns:
        if not turn.evidence and not found:
            found.append(f"nothing shows that the fault took effect: {turn.what}")
    if missed := unverified(reading.history.calls):
        found.append(f"nothing looked for {missed} acknowledged writes afterwards")
    return found


def _notes(reading: Reading) -> list[str]:
    load, cost = reading.run.load, reading.cost
    found = []
    if load.maximum:
        share = cost.rate / load.maximum
        found.append(f"the load was {share:.0%} of what the target answers at most")
    else:
        found.append("the target's maximum was not measured: nobody knows how heavy the load was")
    limit = reading.run.expectation.gap
    own = max((g.pause for turn in cost.turns for g in turn.groups.values()), default=0.0)
    if limit is not None and own > limit:
        found.append(
            f"before a fault, the load paused for {own:.2f} s by itself: so thin a load, or so "
            f"busy a machine, does not tell whether the fault cost more than {limit:g} s"
        )
    if back := steps_back(reading.history):
        found.append(
            f"{back} reads saw less than their client had written or seen before: "
            "outside a session nothing promises otherwise"
        )
    if load.cpu > BUSY:
        found.append(f"the drill itself used {load.cpu:.2f} cores: it may have been the bottleneck")
    return found

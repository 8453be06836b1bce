"""What a run showed, as one document: `report.json`, from which everything else is told.

`Results` is its schema; README.md of this folder explains it. Moments are seconds since the run's
origin, durations seconds, latencies milliseconds.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from cluster.drill.history import AUDITOR, Call, History
from cluster.drill.judge.checker import Violation
from cluster.drill.judge.counterexample import smallest
from cluster.drill.judge.expectations import Judged
from cluster.drill.judge.measures import Cost
from cluster.drill.judge.verdict import SAYS, Reading, verdict
from cluster.drill.record import Event, Run

VERSION = 1
"""Of `report.json`; it grows when a field is renamed, removed or changes its meaning."""
EXPLAINED = 5
"""Violations for which the fewest calls are looked for."""


class Happened(msgspec.Struct, frozen=True):
    """An event of the run."""

    at: float
    what: str
    text: str
    turn: int
    set_name: str
    node: str
    term: int


class LoadShown(msgspec.Struct, frozen=True):
    """The load. `asked` is the rate of an open loop, 0 for a closed one; `rate` the calls in a
    second that were answered until the first fault, `share` that as a part of `maximum`, None where
    the target's maximum was not measured; `cpu` the cores that the drill itself used.
    """

    clients: int
    asked: float
    rate: float
    maximum: float
    share: float | None
    cpu: float


class CallShown(msgspec.Struct, frozen=True):
    """A call. `client` is None for the auditor, `tokens` and `version` where the call did not tell
    what it saw.
    """

    client: int | None
    kind: str
    key: str
    token: str
    begin: float
    end: float
    outcome: str
    found: int
    tokens: tuple[str, ...] | None
    version: int | None
    guarantee: str
    error: str


class ViolationShown(msgspec.Struct, frozen=True):
    """A broken promise. `smallest` are the fewest calls of the key that show it, in order of time;
    it is empty for all but the first few violations (`EXPLAINED`).
    """

    rule: str
    key: str
    sentence: str
    smallest: tuple[CallShown, ...]


class Results(msgspec.Struct, frozen=True):
    """A run's `report.json`.

    `status` is what the drill ends with (`verdict.Status`), `says` the same in words.
    """

    version: int
    status: int
    says: str
    scenario: str
    title: str
    hypothesis: str
    target: str
    through: str
    seed: int
    began: str
    election_timeout: float
    concerned: tuple[str, ...]
    drawn: dict[str, str]
    settings: dict[str, str]
    versions: dict[str, str]
    load: LoadShown
    events: tuple[Happened, ...]
    failed: tuple[str, ...]
    findings: tuple[str, ...]
    violations: tuple[ViolationShown, ...]
    expectations: tuple[Judged, ...]
    notes: tuple[str, ...]
    cost: Cost


def results(reading: Reading) -> Results:
    """The document of a run."""
    run, cost = reading.run, reading.cost
    judged = verdict([reading])
    return Results(
        version=VERSION,
        status=judged.status,
        says=SAYS[judged.status],
        scenario=run.scenario,
        title=run.title,
        hypothesis=run.hypothesis,
        target=run.target,
        through=run.through,
        seed=run.seed,
        began=run.began,
        election_timeout=run.election_timeout,
        concerned=run.concerned,
        drawn=run.drawn,
        settings=run.settings,
        versions=run.versions,
        load=_load(run, cost),
        events=tuple(_happened(event, run.origin) for event in run.events),
        failed=judged.failed,
        findings=judged.findings,
        violations=tuple(
            _violation(reading.history, found, run.origin, explain=number < EXPLAINED)
            for number, found in enumerate(reading.violations)
        ),
        expectations=judged.judged,
        notes=judged.notes,
        cost=cost,
    )


def write(folder: Path, found: Results) -> Path:
    """Put `report.json` into a run's folder, whole or not at all; where it is."""
    file, new = folder / "report.json", folder / "report.json.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    new.replace(file)
    return file


def _load(run: Run, cost: Cost) -> LoadShown:
    load = run.load
    share = cost.rate / load.maximum if load.maximum else None
    return LoadShown(load.clients, load.rate, cost.rate, load.maximum, share, load.cpu)


def _happened(event: Event, origin: int) -> Happened:
    at = (event.at - origin) / 1e9
    return Happened(
        at, event.what.value, event.text, event.turn, event.set_name, event.node, event.term
    )


def _violation(history: History, found: Violation, origin: int, *, explain: bool) -> ViolationShown:
    calls = smallest(history, found) if explain else []
    told = tuple(shown(call, origin) for call in calls)
    return ViolationShown(found.rule.value, found.key, found.sentence, told)


def shown(call: Call, origin: int) -> CallShown:
    """The call as `report.json` has it."""
    return CallShown(
        client=None if call.client == AUDITOR else call.client,
        kind=call.kind.value,
        key=call.key,
        token=call.token,
        begin=(call.begin - origin) / 1e9,
        end=(call.end - origin) / 1e9,
        outcome=call.outcome.value,
        found=call.found,
        tokens=call.state.tokens if call.state else None,
        version=call.state.version if call.state else None,
        guarantee=call.guarantee.value,
        error=call.error,
    )

"""What a run of a drill leaves beside its history: what was done to whom, when, and what was seen.

A run is a folder. `run.json` is the `Run` below, `history.jsonl` its history (history.py), `logs/`
what the servers wrote in those seconds. The report is made from these alone, so an old folder can
be judged again.

All moments are nanoseconds of the monotonic clock of the machine that the drill runs on, as in the
history.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from cluster.errors import DrillError

VERSION = 1
"""Of `run.json`; a greater one is made by a newer program, and refused."""


class What(StrEnum):
    """What an event tells."""

    FAULT = "fault"  # it is being done now
    EVIDENCE = "evidence"  # it took effect; `text` says how that was seen
    DETECTED = "detected"  # `node` found that its primary was gone, and stood for election
    PRIMARY = "primary"  # `node` became primary of `set_name` in `term`
    UNDONE = "undone"  # the fault was taken back
    WHOLE = "whole"  # every member is there again and has caught up; `text` says how that was seen
    TIDY = "tidy"  # what the scenario had made ready is taken back; that is no cost of the fault
    STOPPED = "stopped"  # a stop condition ended the run; `text` says which
    NOTE = "note"  # anything else worth a line in the report


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened. `turn` counts the faults of a run that has several, from 0."""

    at: int
    what: What
    text: str = ""
    turn: int = 0
    set_name: str = ""
    node: str = ""
    term: int = 0


class Expectation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a scenario promises, as limits. None is no promise.

    `gap` is the longest time without an acknowledged write in the groups that the fault concerns,
    `others_gap` in the others, in seconds; `elections_gap` the former in election timeouts.
    `others_slower` is how much greater the others' p99 may be during the fault than before it.
    `errors` are the clients' errors, `elections` new primaries for each fault, `whole` the seconds
    from the fault's end to full redundancy.
    """

    gap: float | None = None
    elections_gap: float | None = None
    others_gap: float | None = None
    others_slower: float | None = None
    errors: int | None = 0
    elections: int | None = None
    whole: float | None = None


class LoadUsed(msgspec.Struct, frozen=True, omit_defaults=True):
    """The load of a run. `rate` is calls in a second for an open loop, 0 for a closed one."""

    clients: int
    rate: float = 0.0
    seconds: float = 0.0
    maximum: float = 0.0
    """Calls in a second that the target answers at most, as measured before; 0: not measured."""
    cpu: float = 0.0
    """Cores that the drill itself used while the load ran."""


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run of one scenario.

    `concerned` names the groups that the fault is about; `drawn` what chance decided (the seed
    repeats it). `findings` are promises of the cluster that did not hold when all was quiet again:
    members that differ, documents rolled back. `failed` says why the run proves nothing: the fault
    did not take effect, or a stop condition ended it.
    """

    scenario: str
    title: str
    hypothesis: str
    expectation: Expectation
    target: str
    through: str
    seed: int
    began: str
    """RFC 3339, in UTC: the time of day at `origin`."""
    origin: int
    """The moment that is zero in reports."""
    ended: int
    concerned: tuple[str, ...]
    load: LoadUsed
    election_timeout: float
    """Seconds."""
    events: tuple[Event, ...] = ()
    drawn: dict[str, str] = {}
    settings: dict[str, str] = {}
    versions: dict[str, str] = {}
    findings: tuple[str, ...] = ()
    failed: str = ""
    version: int = VERSION

    def events_of(self, what: What, turn: int | None = None) -> list[Event]:
        """The events of one kind, in order; of one fault where `turn` is given."""
        return [e for e in self.events if e.what is what and turn in (None, e.turn)]


def write(folder: Path, run: Run) -> None:
    """Put the run into its folder, whole or not at all."""
    new = folder / "run.json.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
    new.replace(folder / "run.json")


def read(folder: Path) -> Run:
    """The run of a folder. Raises DrillError: there is none, or it cannot be read."""
    file = folder / "run.json"
    try:
        run = msgspec.json.decode(file.read_bytes(), type=Run)
    except FileNotFoundError as error:
        raise DrillError(
            f"{folder} is no folder of a drill: it has no run.json. `drill run` makes them."
        ) from error
    except (OSError, msgspec.MsgspecError) as error:
        raise DrillError(f"{file} cannot be read: {error}") from error
    if run.version > VERSION:
        raise DrillError(
            f"{file} is of version {run.version}; this program knows versions up to {VERSION}."
        )
    return run

"""What the servers logged during a run: the lines that tell of elections, of members, of trouble.

`logs/` of a run's folder has a file for each node, with the lines of those seconds as they were
written: JSON of mongod (https://www.mongodb.com/docs/manual/reference/log-messages/), or text of a
router. Their times are the time of day of the node's host. `Run.began` is that of the drill's at
`Run.origin`, so a moment here is as exact as the two clocks agree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from cluster.drill.record import Event, Run, What

CANDIDATE = "Starting an election, since we've seen no PRIMARY"
"""What a member says that has missed its primary for the election timeout (4615652)."""
SAYS = "missed the primary and stood for election, says its log"
CLUES = frozenset(
    {
        4615652,  # starts an election
        21444,  # would be elected, and runs
        21450,  # is elected
        21331,  # takes writes
        21358,  # changes its state
        21809,  # sees no majority, and steps down
        21215,  # another member has a new state
        21216,  # another member is down
    }
)
LEVELS = frozenset("WEF")
"""Warning, error, fatal."""
AT_START = "startupWarnings"
"""The tag of what a mongod says at every start."""


class Line(NamedTuple):
    """A line of a node's log: seconds since the run's origin, and what it says."""

    at: float
    node: str
    level: str
    text: str


def clues(folder: Path, run: Run) -> list[Line]:
    """The lines worth reading, of all nodes, in order of time; empty without logs."""
    return sorted(
        Line(at, node, entry["s"], _text(entry))
        for node, at, entry in _entries(folder, run)
        if _worth(entry)
    )


def detections(folder: Path, run: Run) -> list[Event]:
    """When members missed their primary and stood for election: DETECTED events, in order."""
    return [
        Event(run.origin + round(at * 1e9), What.DETECTED, f"{node} {SAYS}", node=node)
        for node, at, entry in sorted(_entries(folder, run), key=lambda found: found[1])
        if entry["msg"].startswith(CANDIDATE)
    ]


def _entries(folder: Path, run: Run) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """Node, moment and content of each line that mongod wrote."""
    origin = datetime.fromisoformat(run.began)
    for file in sorted((folder / "logs").glob("*.log")):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    entry = json.loads(line)
                    moment = datetime.fromisoformat(entry["t"]["$date"])
                    whole = {"s", "id", "msg"} <= entry.keys()
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # a router's, or cut off
                if whole:
                    yield file.stem, (moment - origin).total_seconds(), entry


def _worth(entry: dict[str, Any]) -> bool:
    return entry["id"] in CLUES or (entry["s"] in LEVELS and AT_START not in entry.get("tags", ()))


def _text(entry: dict[str, Any]) -> str:
    attributes = entry.get("attr") or {}
    more = ", ".join(f"{name} {_plain(value)}" for name, value in attributes.items())
    return f"{entry['msg']} ({more})" if more else str(entry["msg"])


def _plain(value: Any, most: int = 120) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"

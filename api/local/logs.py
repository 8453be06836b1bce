"""Reads the server's log: the file and the one before it, which rotation put aside."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from console.files import read_log


def read(
    log: Path, count: int, *, wanted: Callable[[str], bool], follow: bool = False
) -> Iterator[str]:
    """The last wanted lines of the log and of the one before it; then what is added."""
    before = log.with_name(f"{log.name}.1")
    return read_log(log, count, before=before, wanted=wanted, follow=follow)


def of_request(name: str) -> Callable[[str], bool]:
    """Whether a line belongs to the request of this id."""

    def wanted(line: str) -> bool:
        return name in line and _parse(line).get("request_id") == name

    return wanted


def readable(line: str) -> str:
    """A line as time, level, event, request and the rest; a stack trace on lines of its own."""
    entry = _parse(line)
    if not entry:
        return line
    trace = entry.pop("exception", None)
    head = [str(entry.pop("timestamp", ""))[:23], f"{entry.pop('level', ''):<7}"]
    head += [str(entry.pop("event", ""))]
    rest = [f"{name}={value}" for name, value in entry.items() if value is not None]
    text = " ".join(head + rest)
    return f"{text}\n{trace}" if trace else text


def _parse(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}

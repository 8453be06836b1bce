"""Reads nodes' logs; a mongod writes a JSON document per line, a router plain text."""

from __future__ import annotations

import collections
import json
import time
from collections.abc import Iterator
from pathlib import Path


def read(log: Path, lines: int, *, follow: bool = False) -> Iterator[str]:
    """The last lines of a log, then, with `follow`, each line that is added, without end."""
    try:
        file = log.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return  # a node that was never started has said nothing
    with file:
        for line in collections.deque(file, lines):
            yield line.rstrip("\n")
        rest = ""
        while follow:
            rest += file.readline()
            if rest.endswith("\n"):
                yield rest.rstrip("\n")
                rest = ""
            else:
                time.sleep(0.1)  # a file does not tell when it grows


def readable(line: str) -> str:
    """A mongod's line as time, severity, component, message and attributes; others as they are."""
    try:
        entry = json.loads(line)
        when, severity, component = entry["t"]["$date"][:23], entry["s"], entry["c"]
        text = f"{when} {severity} {component:<8} {entry['msg']}"
    except (ValueError, KeyError, TypeError):
        return line
    attributes = entry.get("attr")
    return f"{text} {json.dumps(attributes, ensure_ascii=False)}" if attributes else text

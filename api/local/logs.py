"""Reads the server's log: the file and the one before it, which rotation put aside."""

import collections
import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any

POLL = 0.1  # seconds; a file does not tell when it grows


def read(
    log: Path, count: int, *, wanted: Callable[[str], bool], follow: bool = False
) -> Generator[str, None, None]:
    """The last wanted lines; then, with `follow`, each one that is added, without end."""
    file = _open(log)
    try:
        before = log.with_name(f"{log.name}.1")
        yield from collections.deque(_lines(before, file, wanted), count)
        rest = ""
        while follow:
            rest += file.readline() if file else ""
            if rest.endswith("\n"):
                if wanted(rest):
                    yield rest.rstrip("\n")
                rest = ""
            elif _moved(log, file):
                # What was written to the old file before it was put aside has been read by now.
                if file:
                    file.close()
                file = _open(log)
            else:
                time.sleep(POLL)
    finally:
        if file:
            file.close()


def _lines(before: Path, file: IO[str] | None, wanted: Callable[[str], bool]) -> Iterator[str]:
    old = _open(before)
    for one in (old, file):
        for line in one or ():
            if wanted(line):
                yield line.rstrip("\n")
    if old:
        old.close()


def _open(path: Path) -> IO[str] | None:
    try:
        return path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _moved(log: Path, file: IO[str] | None) -> bool:
    try:
        there = log.stat()
    except FileNotFoundError:
        return False
    if file is None:
        return True
    return not os.path.samestat(there, os.fstat(file.fileno()))


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

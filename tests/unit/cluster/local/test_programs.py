"""Why a node died, as its log tells, and how logs are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.local import programs
from cluster.local.launcher import Program
from cluster.local.programs import why_it_died


def _log(folder: Path, text: str) -> Program:
    program = Program("shard-1-2", [], ("--dbpath", "x"), folder)
    program.log.write_text(text)
    return program


def _entry(severity: str, message: str, **attributes: object) -> str:
    date = {"$date": "2024-05-06T07:08:09.123+00:00"}
    return json.dumps({"t": date, "s": severity, "c": "X", "msg": message, "attr": attributes})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_entry("E", "x", error="28: No space left on device"), "the disk is full"),
        (_entry("E", "Failed to set up listener", error="Address already in use"), "port is taken"),
        (_entry("F", "x", msg="WT_PANIC: WiredTiger library panic"), "data files are damaged"),
        (_entry("W", "WiredTiger metadata corruption detected"), "data files are damaged"),
        ("mongod: error while loading shared libraries: libcurl.so.4: cannot", "libcurl.so.4"),
        (_entry("F", "Ouch", error="odd") + "\n" + _entry("I", "Now exiting"), "Ouch odd"),
        ("error: the key file is refused\n", "error: the key file is refused"),
        ("", "its log does not tell why"),
    ],
)
def test_death_is_explained_by_the_log(tmp_path: Path, text: str, says: str) -> None:
    line = why_it_died(_log(tmp_path, text), 14, 0)
    assert line.startswith("shard-1-2 ended with status 14: ")
    assert says in line
    assert "\n" not in line


def test_only_the_last_run_explains_a_death(tmp_path: Path) -> None:
    old = _entry("E", "x", error="No space left on device") + "\n"
    program = _log(tmp_path, old + _entry("F", "Something else"))
    assert "Something else" in why_it_died(program, -6, len(old))
    assert "was killed by signal 6" in why_it_died(program, -6, len(old))


def test_logs_are_readable() -> None:
    assert programs.readable(_entry("W", "Slow", ms=7)) == (
        '2024-05-06T07:08:09.123 W X        Slow {"ms": 7}'
    )
    assert programs.readable("plain text") == "plain text"
    assert programs.readable("[1]") == "[1]"

"""What is said of a server's version and of what it gives to strangers."""

from __future__ import annotations

import pytest

from cluster.servers.exposure import Exposure, missing_fix, notes, problems


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        ("6.0.5", "6.0.27"),
        ("6.0.26-rc0", "6.0.27"),
        ("6.0.27", None),
        ("7.0.27", "7.0.28"),
        ("7.0.28", None),
        ("8.0.16", "8.0.17"),
        ("8.0.17", None),
        ("8.2.2", "8.2.3"),
        ("8.2.3", None),
        ("4.2.25", "4.4.30"),  # a line that never got the fix: the next one that has it
        ("7.3.4", "8.0.17"),
        ("8.1.2", "8.2.3"),
        ("8.3.0", None),
        ("10.0.1", None),
        ("master", None),
    ],
)
def test_the_release_that_has_the_fix(version: str, fix: str | None) -> None:
    assert missing_fix(version) == fix


def test_an_old_server_without_zlib_is_a_note() -> None:
    shown = {name: Exposure("6.0.5", localhost_exception=False, zlib=False) for name in "ab"}
    assert list(problems(shown)) == []
    [note] = notes(shown)
    assert note.startswith("MongoDB 6.0.5 (every server) lacks the fix of CVE-2025-14847")
    shown["c"] = Exposure("8.0.17", localhost_exception=False, zlib=True)
    [note] = notes(shown)
    assert "(a, b)" in note
    assert list(problems(shown)) == []


def test_an_old_server_with_zlib_is_a_problem() -> None:
    shown = {"a": Exposure("8.0.4", localhost_exception=False, zlib=True)}
    assert list(notes(shown)) == []
    [problem] = problems(shown)
    assert problem.startswith("a: MongoDB 8.0.4 offers zlib")
    assert "Install 8.0.17" in problem


def test_open_localhost_exceptions_are_one_problem() -> None:
    shown = {name: Exposure("8.0.17", localhost_exception=True, zlib=False) for name in "ab"}
    [problem] = problems(shown)
    assert problem.startswith("a, b: every process of the same machine may make itself root")

"""What `python -m api` says where nothing runs, and of the variables that it reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.__main__ import main


def _api(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command run in `folder`, with no other settings in its environment."""
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("SHARDSTACK_")} | settings,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_never_started_wrong_name_and_not_running_are_three_sentences(tmp_path: Path) -> None:
    never = _api(tmp_path, "down")
    assert (never.returncode, never.stdout) == (0, "no API was ever started in .shardstack\n")
    for command in ("down", "status"):
        wrong = _api(tmp_path, command, "--state", "typo")
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert wrong.stderr.startswith("error: there is no folder typo.")
    assert list(tmp_path.iterdir()) == []
    lock = tmp_path / ".shardstack" / "api" / "server.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    stopped = _api(tmp_path, "down")
    assert (stopped.returncode, stopped.stdout) == (0, "the API does not run\n")


@pytest.mark.parametrize("command", ["up", "restart", "schema", "serve", "sweep", "sample-data"])
def test_a_folder_without_a_cluster_is_named_and_nothing_made(tmp_path: Path, command: str) -> None:
    done = _api(tmp_path, command, "--state", "typo")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "there is no cluster in typo. Start one: " in line
    assert list(tmp_path.iterdir()) == []


def test_a_question_ends_as_one(tmp_path: Path) -> None:
    done = _api(tmp_path, "settings", SHARDSTACK_PROT="1")
    assert done.stderr.endswith("Did you mean SHARDSTACK_PORT?\n")


def test_status_of_what_does_not_run_is_one_line_and_status_3(tmp_path: Path) -> None:
    done = _api(tmp_path, "status")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("API       does not run. Start it: ")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("name", sorted({*main.commands} - {"openapi", "new-resource"}))
def test_help_names_the_variables_that_count(tmp_path: Path, name: str) -> None:
    shown = " ".join(_api(tmp_path, name, "--help").stdout.split())
    assert "SHARDSTACK_STATE" in shown
    if name in {"down", "status", "logs", "settings"}:
        return  # they read no other
    assert "`python -m api settings` lists them" in shown

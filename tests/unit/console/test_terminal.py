"""What a command prints and returns when something goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from console.errors import WRONG_USAGE, FileError, ShownError
from console.signals import ENDING, shielded
from console.terminal import run, state_flag


class MistakesError(ShownError):
    status = WRONG_USAGE


@pytest.fixture(autouse=True)
def _handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` takes the signals of the process that calls it: here that is pytest."""
    monkeypatch.setattr("console.terminal.raise_interrupted", lambda: None)


def outcome(error: BaseException) -> int:
    @click.command()
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(command, "program", [])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (FileError("the disk is full"), 1, "error: the disk is full.\n"),
        (ShownError("a text\n  of two lines."), 1, "error: a text of two lines.\n"),
        (ShownError("Did you mean it?"), 1, "error: Did you mean it?\n"),
        (MistakesError("one.", "two."), 2, "error: one.\nerror: two.\n"),
        (click.ClickException("no."), 1, "error: no.\n"),
    ],
)
def test_an_error_for_people_is_a_line_and_a_status(
    error: Exception, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(error) == status
    assert capsys.readouterr() == ("", says)


def test_whether_it_is_shown_is_a_matter_of_class() -> None:
    @click.command()
    def command() -> None:
        raise ValueError("a fault of the program")

    with pytest.raises(ValueError, match="a fault"):
        run(command, "program", [])


PROGRAM = """
import signal, sys, time, click
from console.terminal import run
@click.command()
def main():
    print("ready", flush=True)
    time.sleep(60)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
run(main, "program")
"""


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_a_command_with_one_line(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == "error: interrupted. Run the same command again to go on.\n"


def test_a_signal_waits_for_shielded_work() -> None:
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(len(done)))
    done: list[int] = []
    try:
        with shielded():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
            done.append(1)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [1]


def test_the_usual_state_folder_is_not_named() -> None:
    assert state_flag(".shardstack") == ""
    assert state_flag("other") == " --state other"

"""Processes: started to outlive their starter, recognised for sure, stopped for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.errors import NodeError
from cluster.local.launcher import LOG_LIMIT, Launcher, Program, is_alive

STUBBORN = "import signal,time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); "


@pytest.fixture
def launcher() -> Launcher:
    return Launcher()


@pytest.fixture
def program(tmp_path: Path, launcher: Launcher) -> Iterator[Program]:
    made = _program(tmp_path, "import time; print('up', flush=True); time.sleep(60)")
    yield made
    launcher.stop([made], 0)


def _program(folder: Path, code: str) -> Program:
    mark = ("--dbpath", str(folder / "node" / "data"))
    return Program("node", [sys.executable, "-c", code, *mark], mark, folder / "node")


def _wait_for(path: Path, text: str) -> None:
    end = time.monotonic() + 10
    while text not in (path.read_text() if path.exists() else ""):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_runs_in_a_session_of_its_own_and_logs(launcher: Launcher, program: Program) -> None:
    pid = launcher.start(program)
    assert os.getsid(pid) == pid
    _wait_for(program.log, "up")
    assert launcher.running([program])["node"].pid == pid
    assert Launcher().running([program])["node"].pid == pid


def test_stray_without_a_pid_file_is_found(launcher: Launcher, program: Program) -> None:
    pid = launcher.start(program)
    program.pid_file.unlink()
    assert launcher.running([program])["node"].pid == pid
    assert program.pid_file.read_text().split()[0] == str(pid)


@pytest.mark.parametrize("content", ["", "x y", "1", "{me} 0.0", "{me} {created}", "999999 1.0"])
def test_recycled_pid_is_neither_believed_nor_killed(
    launcher: Launcher, program: Program, content: str
) -> None:
    me = psutil.Process()
    program.folder.mkdir()
    program.pid_file.write_text(content.format(me=me.pid, created=me.create_time()))
    assert launcher.running([program]) == {}
    assert launcher.stop([program], 1) == []


def test_dead_child_is_told_with_its_status(launcher: Launcher, tmp_path: Path) -> None:
    program = _program(tmp_path, "raise SystemExit(14)")
    process = psutil.Process(launcher.start(program))
    end = time.monotonic() + 10
    while not launcher.died() and time.monotonic() < end:
        time.sleep(0.01)
    assert launcher.died() == [("node", 14, 0)]
    assert not is_alive(process)


def test_stop_is_polite_then_firm(launcher: Launcher, tmp_path: Path) -> None:
    program = _program(tmp_path, STUBBORN + "time.sleep(60)")
    process = psutil.Process(launcher.start(program))
    _wait_for(program.log, "on")
    assert launcher.stop([program], 0.2) == ["node"]
    assert not is_alive(process)
    assert not program.pid_file.exists()


def test_paused_process_can_be_stopped(launcher: Launcher, program: Program) -> None:
    process = psutil.Process(launcher.start(program))
    process.send_signal(signal.SIGSTOP)
    assert launcher.stop([program], 5) == []
    assert not is_alive(process)


def test_missing_program_is_told(launcher: Launcher, tmp_path: Path) -> None:
    program = Program("node", ["/nowhere/mongod"], ("--dbpath", "x"), tmp_path / "node")
    with pytest.raises(NodeError, match="node: /nowhere/mongod does not start"):
        launcher.start(program)


def test_long_log_is_put_aside(launcher: Launcher, program: Program) -> None:
    program.folder.mkdir()
    with program.log.open("wb") as log:
        log.truncate(LOG_LIMIT + 1)
    launcher.start(program)
    _wait_for(program.log, "up")
    assert program.log.stat().st_size < 100
    assert program.log.with_name("log.old").stat().st_size > LOG_LIMIT


def test_outlives_the_process_that_started_it(program: Program) -> None:
    code = (
        "import sys; from pathlib import Path; from cluster.local.launcher import *;"
        f"Launcher().start(Program('node', {program.argv!r}, {program.mark!r}, "
        f"Path({str(program.folder)!r})))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    assert Launcher().running([program])

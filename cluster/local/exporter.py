"""The exporter of a local cluster: one more process beside the servers, which nobody waits for.

exporter/log, pid, code   as of every node
exporter/url              where it listens; whoever draws the cluster finds it there
"""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.local.launcher import Launcher, Program
from cluster.local.programs import fingerprint
from cluster.local.state import Record, StateFolder
from console import Report
from console.files import write
from console.ports import HOST, choose, is_free

NAME = "exporter"
CODE = ("console", "cluster", "cluster/model", "cluster/servers", "cluster/exporter")
STOP_SECONDS = 5.0


def ensure(state: StateFolder, record: Record, report: Report) -> None:
    """Start it, unless it runs and is the code that is there now.

    The caller holds the folder's lock, and the cluster is up.
    """
    launcher = Launcher()
    program = _program(state, record.ports.get(NAME, 0))
    running = bool(launcher.running([program]))
    if running and not program.is_outdated:
        return
    if running:
        report("the exporter ran older code: restarting it")
        launcher.stop([program], STOP_SECONDS)
    if not program.port or not is_free(program.port):
        [record.ports[NAME]] = choose(1, set(record.ports.values()))
        state.save(record)
        program = _program(state, record.ports[NAME])
    launcher.start(program)
    write(program.folder / "url", f"http://{HOST}:{program.port}\n")


def url(state: StateFolder) -> str | None:
    """Where it listens; None: it was not started."""
    file = state.folder / NAME / "url"
    return file.read_text().strip() if file.exists() else None


def stop(state: StateFolder) -> None:
    """Stop it, if it runs."""
    program = _program(state, 0)
    if program.folder.exists():
        Launcher().stop([program], STOP_SECONDS)
        (program.folder / "url").unlink(missing_ok=True)


def _program(state: StateFolder, port: int) -> Program:
    mark = ("exporter", "--state", str(state.folder))
    argv = [sys.executable, "-m", "cluster", *mark, "--port", str(port)]
    for kept in ("backups", "drills"):  # where `dump` and `drill` leave them, run from here
        argv += [f"--{kept}", str(Path(kept).absolute())]
    return Program(NAME, argv, mark, state.folder / NAME, port, fingerprint(*CODE))

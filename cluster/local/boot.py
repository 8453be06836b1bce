"""Brings the processes of a state folder up, whatever state they were left in."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cluster.bootstrap import Credentials, bootstrap
from cluster.errors import KeyFileError, NodeError, StateError
from cluster.local import ports
from cluster.local.binaries import BinaryError, find_mongod, find_mongos
from cluster.local.launcher import Launcher, Program
from cluster.local.programs import programs, why_it_died
from cluster.local.record import Record
from cluster.local.state import State

Report = Callable[[str], None]

MIB_PER_NEW_NODE = 64  # an empty mongod with its journal takes 20, and it must have room to work
STOP_SECONDS = 6.0
WIDTH = (os.cpu_count() or 2) + 1


def bring_up(state: State, record: Record, report: Report, phase: Report) -> None:
    """Starts what is missing and makes it the cluster of `record`; the caller holds the lock.

    When it fails or is interrupted, what it started is stopped again. Raises ClusterError.
    """
    launcher = Launcher()
    wanted = prepare(state, record, report)
    running = launcher.running(wanted.values())
    missing = [program for program in wanted.values() if program.name not in running]
    starter = _Starter(launcher, missing)

    def watch() -> None:
        starter.check()
        for name, status, log_start in launcher.died():
            raise NodeError(why_it_died(wanted[name], status, log_start))

    try:
        if missing:
            names = f"{len(missing)} processes"
            if running:
                names = ", ".join(program.name for program in missing)
            report(f"starting {names}")
        starter.start()
        credentials = Credentials(state.key(), state.passwords()[0])
        leaving = frozenset(record.leaving)
        bootstrap(record.layout(), credentials, report, phase, leaving=leaving, watch=watch)
    except BaseException:
        starter.stop()
        launcher.stop([wanted[name] for name in launcher.started()], STOP_SECONDS)
        raise
    starter.stop()
    record.complete = ["cfg", *record.shards]
    state.save(record)


class _Starter:
    """Starts nodes in the background, as many at a time as there are processors to do it.

    A mongod burns half a second of processor time before it listens. Started all at once, all
    nodes would be ready late; one after the other, the first sets elect and replicate, which is
    mostly waiting, while the processors start the next.
    """

    def __init__(self, launcher: Launcher, missing: list[Program]) -> None:
        self._launcher = launcher
        self._missing = sorted(missing, key=_start_order)
        self._off = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="starter")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Starts no more; returns when none is being started."""
        self._off.set()
        if self._thread.ident:
            self._thread.join()

    def check(self) -> None:
        """Raises what went wrong in the background."""
        if self._error:
            raise self._error

    def _run(self) -> None:
        busy: dict[int, float] = {}
        try:
            for program in self._missing:
                while len(busy) >= WIDTH and not self._off.wait(0.02):
                    now = time.monotonic()
                    # A member that finds no config server may take a minute to listen.
                    busy = {p: t for p, t in busy.items() if ports.is_free(p) and now < t + 3}
                if self._off.is_set():
                    return
                self._launcher.start(program)
                if program.is_mongod:
                    busy[program.port] = time.monotonic()
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error


def _start_order(program: Program) -> tuple[int, str]:
    """Config servers first, then a router, for all else needs them."""
    kinds = ("config-", "router-1", "shard-", "router-")
    return next(n for n, kind in enumerate(kinds) if program.name.startswith(kind)), program.name


def prepare(state: State, record: Record, report: Report) -> dict[str, Program]:
    """Checks everything that can be checked before a process is started, then writes the folder.

    Returns every node's program.
    """
    try:
        mongod, mongos = find_mongod(), find_mongos()
    except BinaryError as error:
        raise NodeError(str(error)) from None
    state.check_data(record)
    fresh = ports.assign(record)
    wanted = programs(state, record, mongod, mongos)
    running = Launcher().running(wanted.values())
    ports.check_free(record, (name for name in wanted if name not in running), fresh)
    _check_disk(state, record)
    _prepare_secrets(state, running=bool(running), report=report)
    state.save(record)
    state.write_uris(record, state.passwords()[0])
    for program in wanted.values():
        if program.is_mongod:
            (program.folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
    return wanted


def _prepare_secrets(state: State, *, running: bool, report: Report) -> None:
    try:
        state.key()
    except KeyFileError:
        if running or state.key_file.exists():
            raise
        remade = state.secrets.exists()
        state.make_key()
        if remade:
            report("the key file was missing: made a new one")
    existed = (state.secrets / "admin.uri").exists()
    if state.passwords()[1] and existed:
        report("the file of passwords was incomplete: made new ones")


def _check_disk(state: State, record: Record) -> None:
    new = [
        member
        for name in ("cfg", *record.shards)
        for member in record.member_names(name)
        if not (state.node(member) / "data" / "WiredTiger").exists()
    ]
    free = shutil.disk_usage(_existing(state.folder)).free // 2**20
    need = MIB_PER_NEW_NODE * len(new) + 32
    if free < need:
        what = f"{len(new)} new nodes need {need} MiB" if new else f"at least {need} MiB are needed"
        raise StateError(
            f"the disk of {state.folder} is full: {free} MiB are free, and {what}. "
            "Free some space, or give another folder to --state."
        )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder

"""Starts and stops processes that outlive the command which started them.

A node's `pid` file holds the process id and when that process was created. A process is taken for
the node only when both agree and its command line names the node's own files; otherwise the id has
been given to a stranger, who is neither believed nor killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cluster.errors import NodeError
from console.files import unwritable, write

CLOCK_SLACK = 2.0  # seconds; the system's boot time, to which creation times refer, is rounded
LOG_LIMIT = 16 * 2**20  # bytes; a longer log is put aside as log.old at the next start


@dataclass(frozen=True)
class Program:
    """One node's command line; `mark` are the arguments that no other node has in that order.

    `code` is a fingerprint of the program itself, where it is ours and may change while it runs;
    `environment` is added to that of the command which starts it.
    """

    name: str
    argv: list[str]
    mark: tuple[str, ...]
    folder: Path
    port: int = 0
    code: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_mongod(self) -> bool:
        """Whether it keeps data, as opposed to a router."""
        return self.mark[0] == "--dbpath"

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / "log"

    @property
    def pid_file(self) -> Path:
        """The process id and creation time."""
        return self.folder / "pid"

    @property
    def code_file(self) -> Path:
        """The code that it was started with."""
        return self.folder / "code"

    @property
    def is_outdated(self) -> bool:
        """Whether what was started last is not the code that is there now."""
        if not self.code:
            return False
        return not self.code_file.exists() or self.code_file.read_text().strip() != self.code


class Launcher:
    """The processes of one state folder, as seen by one command; it remembers what it started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log_starts: dict[str, int] = {}
        self._exits: dict[str, int] = {}
        self._children: dict[str, int] = {}

    # ---- what runs ----------------------------------------------------------------------------

    def running(self, programs: Iterable[Program]) -> dict[str, psutil.Process]:
        """The node's processes that run, by node name; finds those without a pid file too."""
        found: dict[str, psutil.Process] = {}
        lost = []
        for program in programs:
            if process := self._recorded(program):
                found[program.name] = process
            else:
                lost.append(program)
        if lost:
            found |= self._strays(lost)
        return found

    def _recorded(self, program: Program) -> psutil.Process | None:
        try:
            pid, created = program.pid_file.read_text().split()
            process = psutil.Process(int(pid))
            if abs(process.create_time() - float(created)) < CLOCK_SLACK:
                return process if _is(process, program) else None
        except (OSError, ValueError, psutil.Error):
            pass
        return None

    def _strays(self, programs: list[Program]) -> dict[str, psutil.Process]:
        """Processes whose starter was killed before it could write their pid file."""
        found = {}
        for process in psutil.process_iter():
            program = next((p for p in programs if _is(process, p)), None)
            if program:
                found[program.name] = process
                programs.remove(program)
                with contextlib.suppress(psutil.Error):
                    self._remember(program, process)
        return found

    # ---- start --------------------------------------------------------------------------------

    def start(self, program: Program) -> int:
        """Starts a node in a session of its own and returns its process id."""
        try:
            program.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            size = program.log.stat().st_size if program.log.exists() else 0
            if size > LOG_LIMIT:
                program.log.replace(program.log.with_name("log.old"))
                size = 0
            self._log_starts[program.name] = size
            if program.code:
                write(program.code_file, f"{program.code}\n")
            append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            pid = os.posix_spawn(
                program.argv[0],
                program.argv,
                {**os.environ, **program.environment},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(program.log), append, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP],
            )
        except OSError as error:
            if error.filename in (None, program.argv[0]):
                raise NodeError(
                    f"{program.name}: {program.argv[0]} does not start ({error.strerror})."
                ) from None
            raise unwritable(program.folder, error) from None
        with self._lock:
            self._children[program.name] = pid
            self._exits.pop(program.name, None)
        with contextlib.suppress(psutil.Error):
            self._remember(program, psutil.Process(pid))
        return pid

    @staticmethod
    def _remember(program: Program, process: psutil.Process) -> None:
        write(program.pid_file, f"{process.pid} {process.create_time():.2f}\n")

    def died(self) -> list[tuple[str, int, int]]:
        """Of the nodes started by this command: name, exit status and where in its log it began.

        The status is negative for a signal, as in subprocess.
        """
        with self._lock:
            for name, pid in list(self._children.items()):
                status = _reap(pid)
                if status is not None:
                    del self._children[name]
                    self._exits[name] = status
            return [(name, code, self._log_starts[name]) for name, code in self._exits.items()]

    # ---- stop ---------------------------------------------------------------------------------

    def stop(self, programs: list[Program], seconds: float) -> list[str]:
        """Stops nodes: SIGTERM, and SIGKILL to those left after `seconds`; returns the latter."""
        found = self.running(programs)
        for process in found.values():
            with contextlib.suppress(psutil.Error):
                process.terminate()
                process.send_signal(signal.SIGCONT)  # a paused process would not hear the other
        left = self._wait(found, seconds)
        for name in left:
            with contextlib.suppress(psutil.Error):
                found[name].kill()
        self._wait({name: found[name] for name in left}, 5)
        for program in programs:
            program.pid_file.unlink(missing_ok=True)
        return left

    def _wait(self, found: dict[str, psutil.Process], seconds: float) -> list[str]:
        end = time.monotonic() + seconds
        left = dict(found)
        while left:
            for name, process in list(left.items()):
                if not is_alive(process):
                    del left[name]
            if not left or time.monotonic() > end:
                break
            time.sleep(0.02)
        return list(left)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process still runs. Reaps it if it is a dead child of this one."""
    try:
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        # A process of many threads is called dead when its first has ended; the others may still
        # be giving up its files and ports.
        alive = alive or process.num_threads() > 1
    except psutil.Error:
        alive = False
    if not alive:
        _reap(process.pid)
    return alive


def _is(process: psutil.Process, program: Program) -> bool:
    try:
        argv = process.cmdline()
    except psutil.Error:
        return False
    width = len(program.mark)
    return is_alive(process) and any(
        tuple(argv[i : i + width]) == program.mark for i in range(len(argv) - width + 1)
    )


def _reap(pid: int) -> int | None:
    """The exit status of a dead child of this process; None when it lives or is no child."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if done else None

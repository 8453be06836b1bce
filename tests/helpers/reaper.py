"""Ends the servers that tests have started, however the tests themselves end.

Servers outlive the command that starts them, and a test run that is killed tidies nothing up. So
every process of a run inherits a mark in its environment. A reaper, in a session of its own, waits
for the test process to be gone, and then ends whatever still carries the mark.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time

import psutil

MARK = "TEST_RUN_OF_SHARDSTACK"
PATIENCE = 20.0  # seconds in which what was killed must be gone


def watch() -> None:
    """Mark this process's children from now on, and end them when this process has ended."""
    os.environ[MARK] = mark = f"{os.getpid()}-{secrets.token_hex(8)}"
    # Nobody else has the pipe's other end: it closes when this process ends.
    reading, _ = os.pipe()
    reaper = subprocess.Popen(
        [sys.executable, __file__, mark],
        stdin=reading,
        start_new_session=True,  # what interrupts the tests spares it
        env={name: value for name, value in os.environ.items() if name != MARK},
    )
    reaper.returncode = 0  # it outlives this process on purpose: nobody shall warn of that
    os.close(reading)


def marked(mark: str) -> list[psutil.Process]:
    """The processes that carry the mark and still run."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue  # gone meanwhile, or somebody else's
    return found


def main(mark: str) -> None:
    """Wait for the end of standard input, then end every marked process."""
    sys.stdin.buffer.read()
    end = time.monotonic() + PATIENCE
    while (left := marked(mark)) and time.monotonic() < end:
        for process in left:
            try:
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(left, timeout=1)


if __name__ == "__main__":
    main(sys.argv[1])

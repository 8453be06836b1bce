"""Signals that end a command are never lost."""

from __future__ import annotations

import subprocess
import sys

IN_A_DESTRUCTOR = """
import os, signal
from console.signals import came, raise_interrupted

raise_interrupted()

class Closing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass

assert not came()
Closing()  # an exception goes no further than its destructor
print(came())
"""


def test_a_signal_that_a_destructor_swallowed_is_still_known() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_DESTRUCTOR],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == "True\n"
    assert "Interrupted" in done.stderr

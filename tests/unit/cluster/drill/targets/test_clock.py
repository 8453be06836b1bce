"""A process with a clock of its own, which may be set while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cluster.drill.targets import clock
from cluster.servers.waiting import Waiter

pytestmark = pytest.mark.skipif(clock.cannot() != "", reason=clock.cannot() or "it can")

TELL = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


@pytest.mark.long
def test_it_is_set_and_time_spans_are_not(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock.set_off(file, 0)
    with subprocess.Popen(
        [sys.executable, "-c", TELL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, **clock.environment(file)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def off() -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            told, span = map(float, process.stdout.readline().split())
            assert abs(span - time.monotonic()) < 5
            return told - time.time()

        assert abs(off()) < 5
        # Not before it has answered: the kernel shows no environment while a program is loaded.
        assert clock.has_own(psutil.Process(process.pid))
        assert not clock.has_own(psutil.Process())
        for seconds in (60, -60, 0):
            clock.set_off(file, seconds)
            Waiter(20).until(
                lambda wanted=seconds: True if abs(off() - wanted) < 5 else None,  # type: ignore[misc]
                lambda: f"the clock was not set: {off()}",
                every=0.1,
            )
        process.stdin.close()

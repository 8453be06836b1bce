"""However a test run ends, the servers that it started end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from cluster.servers.waiting import Waiter

SERVER = [sys.executable, "-c", "import time; time.sleep(600)"]
RUN = f"""
import subprocess, sys
from tests.helpers import reaper
reaper.watch()
print(subprocess.Popen({SERVER!r}, start_new_session=True).pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.long
@pytest.mark.core
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_a_run_started_ends_with_it(sent: signal.Signals) -> None:
    bystander = subprocess.Popen(SERVER, start_new_session=True)
    run = subprocess.Popen(
        [sys.executable, "-c", RUN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert run.stdout is not None
        server = psutil.Process(int(run.stdout.readline()))
        os.kill(run.pid, sent)
        run.communicate(timeout=20)
        Waiter(20).until(lambda: not server.is_running() or None, lambda: f"{server} runs on")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
        run.kill()
        run.wait()

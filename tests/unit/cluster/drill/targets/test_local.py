"""What the target of this machine finds out without a cluster."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from cluster.drill.targets.local import LocalTarget
from cluster.local.cluster import LocalCluster


def test_workers_are_the_processes_that_share_a_port_and_have_none_below_them(
    tmp_path: Path,
) -> None:
    target = LocalTarget(LocalCluster(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as master, socket.socket() as client:
        client.connect(master.getsockname())  # who is connected is none of them
        url = f"http://127.0.0.1:{master.getsockname()[1]}"
        worker = [sys.executable, "-c", "input()"]
        with subprocess.Popen(worker, stdin=subprocess.PIPE, pass_fds=[master.fileno()]) as process:
            assert target.workers(url) == [process.pid]
            process.communicate(b"\n")
        assert len(target.workers(url)) == 1
    assert target.workers(url) == []

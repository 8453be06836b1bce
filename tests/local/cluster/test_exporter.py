"""The exporter that `up` starts beside a cluster: there, healed and gone with it."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
import requests

from cluster.local import exporter
from cluster.local.cluster import LocalCluster
from cluster.local.launcher import is_alive
from cluster.servers.waiting import Waiter
from tests.local.cluster.small import run

pytestmark = [pytest.mark.long, pytest.mark.core]


def pid_of(local: LocalCluster) -> int:
    """The process id that was noted."""
    return int((local.state.folder / exporter.NAME / "pid").read_text().split()[0])


def url_of(local: LocalCluster) -> str:
    """Where it answers; waits until it does."""

    def answers() -> str | None:
        url = local.exporter_url()
        try:
            good = url and requests.get(f"{url}/healthz", timeout=10).text == "ok\n"
        except requests.RequestException:
            return None
        return url if good else None

    return Waiter(60).until(answers, (local.state.folder / "exporter/log").read_text)


def test_it_comes_and_goes_with_the_cluster(small: LocalCluster) -> None:
    said = run(small, "up").stdout
    url, first = url_of(small), pid_of(small)
    assert f"{url}/metrics" in said
    assert requests.get(f"{url}/status.json", timeout=20).json()["problems"] == []
    assert run(small, "up").returncode == 0
    assert pid_of(small) == first
    os.kill(first, signal.SIGKILL)
    assert run(small, "up").returncode == 0
    assert url_of(small) == url
    assert pid_of(small) != first
    (small.state.folder / exporter.NAME / "code").write_text("older\n")
    assert "ran older code" in run(small, "up").stdout
    assert url_of(small) == url
    last = psutil.Process(pid_of(small))
    assert run(small, "down").returncode == 0
    assert small.exporter_url() is None
    assert not is_alive(last)


def test_it_is_left_out_when_asked(small: LocalCluster) -> None:
    assert run(small, "down").returncode == 0
    assert "metrics" not in run(small, "up", "--no-exporter").stdout
    assert small.exporter_url() is None

"""The cluster is drawn as it is: also while it fails over, and while parts of it are down."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cluster.local.cluster import LocalCluster
from tests.browser.figures import PICTURE, at
from tests.browser.monitor import Monitor
from tests.browser.pages import Pages


@pytest.mark.core
def test_it_says_what_is_missing(pages: Pages, administrator: str, monitor: Monitor) -> None:
    pages.expected = {503}
    monitor.picture = PICTURE
    pages.enter(administrator, "#/cluster")
    pages.one(".set svg")
    assert pages.texts(".set h2")[:3] == ["config config servers", "shard-1", "shard-2"]
    drawn = {one.get_attribute("aria-label") for one in pages.all(".set svg")}
    assert "shard-1: shard-1-1 secondary, shard-1-2 primary, shard-1-3 down" in drawn
    pages.sees("no primary: it takes no writes · has no majority")
    assert pages.texts(".problems li") == PICTURE["problems"]
    assert "primary-killed: passed" in pages.one(".timeline").text

    monitor.picture = {**at(PICTURE["at"] + 60), "shards": None, "balancer": None, "events": None}
    pages.sees("nothing is known about the shards")
    monitor.picture = None  # the exporter itself has ended: the last picture stays, and is old
    pages.one(".sets.old")
    pages.one(".notice[role=alert]")
    monitor.picture = at(PICTURE["at"] + 120)
    pages.until(lambda: not pages.all(".sets.old"))


def names(pages: Pages, css: str) -> list[str]:
    """The names of the servers that are drawn so."""
    return [str(one.get_attribute("data-name")) for one in pages.all(css)]


@contextlib.contextmanager
def exporting(cluster: LocalCluster) -> Iterator[str]:
    """A real exporter's address."""
    state = str(cluster.state.folder)
    command = [sys.executable, "-m", "cluster", "exporter", "--state", state, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rpartition(" at ")[2].strip()
        finally:
            process.terminate()


@pytest.mark.core
def test_a_failover_is_watched(
    pages: Pages, administrator: str, monitor: Monitor, healed_cluster: LocalCluster
) -> None:
    """The primary is killed: it is shown as down, and another one as primary."""

    def primary() -> str:
        return next(iter(names(pages, ".set:nth-child(2) .server.primary")), "")

    with exporting(healed_cluster) as url:
        monitor.exporter = url
        pages.enter(administrator, "#/cluster")
        pages.until(lambda: any("op/s" in one for one in pages.texts(".set:nth-child(2) .facts")))
        before = pages.until(primary)
        healed_cluster.kill(before)
        killed = time.monotonic()
        pages.until(lambda: primary() not in ("", before))
        print(f"another primary is shown after {time.monotonic() - killed:.1f} s")  # noqa: T201
        pages.until(lambda: names(pages, ".server.down") == [before])
        assert before in pages.one(".timeline").text
        pages.browser.get("about:blank")  # asks no more

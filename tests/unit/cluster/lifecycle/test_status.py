"""What `status` prints, on wide terminals and on narrow ones."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cluster.lifecycle.status import (
    NARROWEST,
    ClusterStatus,
    MemberStatus,
    RouterStatus,
    SetStatus,
    ShardStatus,
    show,
)


def cluster(*problems: str) -> ClusterStatus:
    """Of one shard of three, its second member down, and a router that does not answer."""
    members = [
        MemberStatus(f"shard-1-{n}", f"127.0.0.1:2800{n}", state, 0.0, pid=123456, rss_mib=1234)
        for n, state in enumerate(["PRIMARY", "unreachable", "SECONDARY"])
    ]
    routers = [
        RouterStatus("router-1", "127.0.0.1:28071", "stand-in router (MongoDB 6.0.5)", pid=123456),
        RouterStatus("router-2", "127.0.0.1:28072", None, "it does not answer: " + "why, " * 30),
    ]
    return ClusterStatus(
        healthy=not problems,
        problems=list(problems),
        sets=[SetStatus("shard-1", False, "shard-1-0", members)],
        shards=[ShardStatus("shard-1", True, False, 2, 1_000_000, [])],
        routers=routers,
        balancer="on",
    )


def shown(found: ClusterStatus, width: int) -> str:
    file = io.StringIO()
    show(found, Console(file=file, width=width, force_terminal=True, color_system=None))
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_address_is_cut_off(width: int) -> None:
    text = shown(cluster("shard-1-1 is down"), width)
    for address in ("127.0.0.1:28001", "127.0.0.1:28002", "127.0.0.1:28072"):
        assert address in text
    assert "stand-in router (MongoDB 6.0.5)" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= max(width, NARROWEST)


def test_the_first_line_sums_it_up() -> None:
    counts = "1 shard, 2 of 3 members in service, 1 of 2 routers serve, balancer on"
    assert f"all is well: {counts}" in " ".join(shown(cluster(), 200).splitlines()[0].split())
    first, *_ = shown(cluster("shard-1-1 is down", "router-2 is down"), 200).splitlines()
    assert first.endswith(f"2 problems: {counts}")

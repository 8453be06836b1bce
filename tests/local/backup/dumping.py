"""A dump under way, and what it leaves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient

from cluster.backup import locks
from cluster.local.cluster import LocalCluster
from tests.local.cluster.small import command

Client = MongoClient[dict[str, Any]]
BULK = 30_000  # documents: reading them takes a second or more, in which things can happen


def members_locked(local: LocalCluster) -> list[str]:
    access = local.access()
    with access.connections() as connections:
        members = [node for s in access.layout.sets for node in s.members]
        return [node.name for node in locks.locked(connections, members)]


def fill(client: Client) -> None:
    """Enough to read that a test can do something meanwhile."""
    for name in ("bulk", "more"):
        documents = ({"_id": n, "text": "x" * 200} for n in range(BULK))
        client["bulk"][name].insert_many(documents)


@contextmanager
def dumping(local: LocalCluster, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A dump under way, at the moment in which writes begin to wait."""
    process = subprocess.Popen(
        [sys.executable, "-u", *command(local, "dump", *arguments)[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any("writes wait" in line for line in process.stdout)
        yield process
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()


def ended(client: Client) -> None:
    """Nothing of a dump is left: writes go through, the balancer is on, nobody holds it."""
    client["shop"]["probe"].insert_one({})
    assert client.admin.command("balancerStatus")["mode"] == "full"
    assert client["cluster"]["holds"].count_documents({}) == 0

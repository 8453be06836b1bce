"""A dump under way, and what it leaves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient

from cluster.local.cluster import LocalCluster
from cluster.model.layout import Node
from cluster.servers.snapshots import DEFAULT, PARAMETER
from cluster.servers.writable import LOCKS
from tests.local.cluster.small import command

Client = MongoClient[dict[str, Any]]
BULK = 30_000  # documents: reading them takes a second or more, in which things can happen
# What a dump says when it has begun, agreed on a moment, read a collection, and is about to end.
PHASES = ["", "the moment is", "bulk.", "more: "]


def ask_members(local: LocalCluster, command: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The answer of every shard's member, by name."""
    access = local.access()
    nodes: list[Node] = [node for shard in access.layout.shards for node in shard.members]
    with access.connections() as connections:
        return {node.name: connections.member(node).admin.command(command) for node in nodes}


def members_locked(local: LocalCluster) -> list[str]:
    """Those on which an fsync lock is set, or about to be."""
    found = ask_members(local, LOCKS)
    return [name for name, answer in found.items() if answer.get("fsyncLock") or answer["inprog"]]


def windows(local: LocalCluster) -> set[int]:
    """For how long the members keep history, in seconds."""
    found = ask_members(local, {"getParameter": 1, PARAMETER: 1})
    return {int(answer[PARAMETER]) for answer in found.values()}


def fill(client: Client) -> None:
    """Enough to read that a test can do something meanwhile."""
    for name in ("bulk", "more"):
        documents = ({"_id": n, "text": "x" * 200} for n in range(BULK))
        client["bulk"][name].insert_many(documents)


@contextmanager
def dumping(
    local: LocalCluster, *arguments: str, phase: str = PHASES[1]
) -> Iterator[subprocess.Popen[str]]:
    """A dump under way, at the moment in which it says `phase`."""
    process = subprocess.Popen(
        [sys.executable, "-u", *command(local, "dump", *arguments)[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert not phase or any(phase in line for line in process.stdout)
        yield process
        process.communicate(timeout=90)
    finally:
        process.kill()
        process.communicate()


def untouched(local: LocalCluster, client: Client) -> None:
    """The cluster is as if there had never been a dump, and takes writes."""
    client["shop"]["probe"].insert_one({})
    assert members_locked(local) == []
    assert windows(local) == {DEFAULT}
    assert client.admin.command("balancerStatus")["mode"] == "full"
    assert client["cluster"]["holds"].count_documents({}) == 0

"""Driving a small cluster, of one member per set, as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from pymongo import MongoClient

from cluster.local.cluster import LocalCluster

SMALL = {"shards": 1, "members": 1, "config_servers": 1, "routers": 1}
SMALL_FLAGS = [f"--{name.replace('_', '-')}={count}" for name, count in SMALL.items()]


def command(local: LocalCluster, *arguments: str) -> list[str]:
    """The command line of `python -m cluster …` for this cluster's folder."""
    return [sys.executable, "-m", "cluster", *arguments, "--state", str(local.state.folder)]


def run(
    local: LocalCluster, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`python -m cluster …`, waited for."""
    return subprocess.run(
        command(local, *arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={**os.environ, **environment},
    )


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that failed."""
    assert done.returncode != 0, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


def client_of(local: LocalCluster, user: str = "admin") -> MongoClient[dict[str, Any]]:
    """A client through the cluster's routers."""
    return MongoClient(local.uri(user), serverSelectionTimeoutMS=20_000)


def running_pids(local: LocalCluster) -> dict[str, int]:
    """The process ids of the nodes that run."""
    return {node.name: node.pid for node in local.nodes() if node.pid is not None}

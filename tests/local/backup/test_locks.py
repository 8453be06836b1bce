"""A dump that is interrupted or dies leaves no lock behind that nobody lifts."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import psutil
import pytest

from cluster.backup import locks
from cluster.local.cluster import LocalCluster
from tests.local.backup.dumping import Client, dumping, ended, fill, members_locked
from tests.local.cluster.small import error_of, run

pytestmark = pytest.mark.long


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_interrupted_while_writes_wait(
    client: Client, source: LocalCluster, tmp_path: Path, how: str
) -> None:
    fill(client)
    with dumping(source, str(tmp_path / "backup")) as process:
        assert members_locked(source) == ["shard-1-1", "shard-2-1"]
        writer = threading.Thread(target=client["shop"]["waits"].insert_one, args=({},))
        writer.start()
        {
            "SIGINT": lambda: process.send_signal(signal.SIGINT),
            "SIGTERM": process.terminate,
            "SIGKILL": process.kill,
        }[how]()
        _, error = process.communicate(timeout=30)
    writer.join(20)
    assert not writer.is_alive(), "writes still wait"
    assert members_locked(source) == []
    assert not (tmp_path / "backup").exists()
    if how == "SIGKILL":
        assert "the dump died: unlocked shard-1-1, shard-2-1" in error
        assert client.admin.command("balancerStatus")["mode"] == "off"
    else:
        assert error.startswith("error: interrupted.")
        ended(client)
    again = run(source, "dump", str(tmp_path / "backup"))
    assert again.returncode == 0, again.stderr
    ended(client)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["backup"]


def killed_with_its_warden(source: LocalCluster, place: Path) -> None:
    """A dump dies, and the one who would have unlocked dies first: the machine went down."""
    with dumping(source, str(place)) as process:
        (warden,) = psutil.Process(process.pid).children()
        warden.kill()
        process.kill()
        process.communicate()
    assert members_locked(source) == ["shard-1-1", "shard-2-1"]


def test_a_lock_left_behind_is_lifted_by_the_next_dump(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    fill(client)
    killed_with_its_warden(source, tmp_path / "backup")
    again = run(source, "dump", str(tmp_path / "backup"))
    assert again.returncode == 0, again.stderr
    assert "which a dump left behind that died" in again.stdout
    ended(client)


def test_a_lock_left_behind_is_lifted_by_command(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    fill(client)
    killed_with_its_warden(source, tmp_path / "backup")
    lifted = run(source, "dump", "--unlock", "--json")
    assert json.loads(lifted.stdout) == {"unlocked": ["shard-1-1", "shard-2-1"]}
    ended(client)
    assert json.loads(run(source, "dump", "--unlock", "--json").stdout) == {"unlocked": []}


def test_nobody_unlocks_a_dump_that_lives(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    fill(client)
    with dumping(source, str(tmp_path / "backup")) as process:
        psutil.Process(process.pid).suspend()
        assert "a dump (process" in error_of(run(source, "dump", "--unlock"))
        assert "a dump (process" in error_of(run(source, "dump", str(tmp_path / "other")))
        assert members_locked(source) == ["shard-1-1", "shard-2-1"]
        psutil.Process(process.pid).resume()
        process.communicate(timeout=60)
    assert process.returncode == 0
    ended(client)


def test_a_lock_of_somebody_else_is_left_alone(
    client: Client, source: LocalCluster, tmp_path: Path
) -> None:
    access = source.access()
    with access.connections() as connections:
        member = connections.member(access.layout.shards[0].members[0])
        locks.lock(member)
        assert "not by a dump from here" in error_of(run(source, "dump", str(tmp_path / "backup")))
        assert members_locked(source) == ["shard-1-1"]
        assert run(source, "dump", "--unlock").returncode == 0
    ended(client)

"""What keeps writes from going on is said by status, up, dump and restore; nobody waits for it."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import create_app
from api.settings import Settings
from cluster.local.cluster import LocalCluster
from cluster.servers import balancer, snapshots
from cluster.servers.snapshots import DEFAULT, PARAMETER
from cluster.servers.waiting import Waiter
from tests.local.backup.dumping import Client, members_locked, untouched, windows
from tests.local.cluster.small import error_of, run

pytestmark = [pytest.mark.long, pytest.mark.core]

LINE = "is locked against writes (fsync), which wait."


@pytest.fixture
def locked(source: LocalCluster, client: Client) -> Iterator[str]:
    """A shard whose primary an operator has locked; its name."""
    client["shop"]["things"].insert_one({})
    access = source.access()
    with access.connections() as connections:
        member = connections.member(access.layout.shards[1].members[0])
        member.admin.command("fsync", lock=True)
        yield "shard-2-1"
        if members_locked(source):
            member.admin.command("fsyncUnlock")


def test_a_lock_is_said_by_every_command(source: LocalCluster, locked: str, tmp_path: Path) -> None:
    status = run(source, "status", "--json")
    assert status.returncode == 1
    found = json.loads(status.stdout)
    assert not found["healthy"]
    (problem,) = found["problems"]
    assert problem.startswith(f"{locked} {LINE}")
    assert "db.fsyncUnlock()" in problem
    for arguments in (["up"], ["dump", str(tmp_path / "backup")]):
        error = error_of(run(source, *arguments))
        assert error.startswith(f"{locked} (")
        assert LINE in error
    assert not (tmp_path / "backup").exists()
    assert members_locked(source) == [locked], "it is not ours to lift"


def test_readiness_says_that_writes_wait(source: LocalCluster, client: Client) -> None:
    client.admin.command("shardCollection", "shardstack.claims", key={"_id": "hashed"})
    settings = Settings(database_uri=source.uri("app"), jwt_secret=secrets.token_urlsafe(48))
    api = create_app(settings).test_client()

    def writes(wanted: str) -> bool | None:
        answer = api.get("/readyz")
        return True if answer.status_code == 200 and answer.json["writes"] == wanted else None

    access = source.access()
    with access.connections() as connections:
        member = connections.member(access.layout.shards[1].members[0])
        try:
            Waiter(30).until(lambda: writes("acknowledged"), lambda: "never acknowledged")
            member.admin.command("fsync", lock=True)
            Waiter(30).until(lambda: writes("waiting"), lambda: "a lock is not noticed")
            member.admin.command("fsyncUnlock")
            Waiter(30).until(lambda: writes("acknowledged"), lambda: "its end is not noticed")
        finally:
            if members_locked(source):
                member.admin.command("fsyncUnlock")
            api.application.extensions["store"].close()


def test_up_heals_what_it_can_beside_a_lock(source: LocalCluster, locked: str) -> None:
    source.kill("router-2")
    assert LINE in error_of(run(source, "up"))
    assert source.node("router-2").pid is not None
    source.restart(locked)  # which ends a lock, as the message says
    assert members_locked(source) == []
    assert run(source, "up").returncode == 0


def test_a_restore_that_died_is_said_and_put_right_by_up(
    source: LocalCluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another machine: known by its silence only."""
    monkeypatch.setattr(balancer, "DEAD_SECONDS", 3.0)
    assert run(source, "status").returncode == 0
    client.admin.command("balancerStop")
    client["cluster"]["holds"].insert_one(
        {"_id": "balancer", "was": "full", "owner": "x", "purpose": "a restore",
         "place": "this machine before it went down", "pid": 1, "started": 1, "beat": 3}
    )  # fmt: skip
    beat = [{"$set": {"at": {"$subtract": ["$$NOW", 60_000]}}}]
    client["cluster"]["holds"].update_one({"_id": "balancer"}, beat)
    status = json.loads(run(source, "status", "--json").stdout)
    assert status["problems"] == ["a restore died and left the balancer off: run `up`"]
    assert status["balancer_holder"] == {"purpose": "a restore", "pid": 1, "died": True}
    source.up()
    untouched(source, client)
    assert json.loads(run(source, "status", "--json").stdout)["healthy"]


def test_a_long_dump_keeps_its_history(
    source: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = source.access()
    monkeypatch.setattr(snapshots, "EVERY", 0.0)
    with access.connections() as connections:
        with snapshots.keep_snapshots(connections, access.layout, lambda _: None) as kept:
            kept.look()
            assert windows(source) == {DEFAULT}, "what is kept anyhow suffices"
            kept.began -= 1000
            kept.look()
            (window,) = windows(source)
            assert window >= 1000 + snapshots.AHEAD
        assert windows(source) == {DEFAULT}


def test_what_a_long_dump_left_is_put_back_by_up(source: LocalCluster) -> None:
    access = source.access()
    with access.connections() as connections:
        member = connections.member(access.layout.shards[0].members[0])
        member.admin.command({"setParameter": 1, PARAMETER: 5000})
    assert windows(source) == {DEFAULT, 5000}
    up = run(source, "up")
    assert f"shard-1-1: keeps history for {DEFAULT} s again" in up.stdout
    assert windows(source) == {DEFAULT}


def test_what_a_dump_still_raises_is_left_alone(
    source: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = source.access()
    monkeypatch.setattr(snapshots, "EVERY", 1.0)
    ended = threading.Event()
    with access.connections() as connections:
        member = connections.member(access.layout.shards[0].members[0])

        def dump() -> None:
            for window in itertools.count(5000):
                member.admin.command({"setParameter": 1, PARAMETER: window})
                if ended.wait(0.05):
                    return

        living = threading.Thread(target=dump)
        living.start()
        try:
            Waiter(10).until(lambda: windows(source) != {DEFAULT} or None, lambda: "never")
            snapshots.put_back(connections, access.layout, lambda _: None)
            assert max(windows(source)) >= 5000
        finally:
            ended.set()
            living.join()
            snapshots.put_back(connections, access.layout, lambda _: None)
    assert windows(source) == {DEFAULT}

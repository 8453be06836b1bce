"""What has expired since the dump is restored and compared before the server deletes it again."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from cluster.local.cluster import LocalCluster
from cluster.servers.waiting import Waiter
from tests.local.cluster.small import client_of, run

pytestmark = pytest.mark.long

Client = MongoClient[dict[str, Any]]
BULK = 20_000  # what keeps the restore busy while the expired ones are there


def set_parameter(local: LocalCluster, **parameter: Any) -> None:
    access = local.access()
    with access.connections() as connections:
        for shard in access.layout.shards:
            connections.member(shard.members[0]).admin.command("setParameter", 1, **parameter)


@pytest.fixture
def monitors(source: LocalCluster, target: LocalCluster) -> Iterator[None]:
    """The source deletes nothing; the target looks every second."""
    set_parameter(source, ttlMonitorEnabled=False)
    set_parameter(target, ttlMonitorSleepSecs=1)
    with client_of(target) as client:  # it heeds that once it has slept as long as before
        expired(client)
        gone(client, 80)
        client.drop_database("odds")
    yield
    set_parameter(source, ttlMonitorEnabled=True)
    set_parameter(target, ttlMonitorSleepSecs=60)


def expired(client: Client) -> None:
    """Documents that the server deletes when it looks next."""
    sessions = client["odds"]["sessions"]
    sessions.create_index("at", expireAfterSeconds=1)
    long_ago = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
    sessions.insert_many({"_id": n, "at": long_ago} for n in range(100))


def gone(client: Client, seconds: float) -> None:
    Waiter(seconds).until(
        lambda: True if client["odds"]["sessions"].find_one() is None else None,
        lambda: "nothing expires",
    )


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("monitors")
def test_expired_documents_are_compared_first(
    client: Client, source: LocalCluster, target: LocalCluster, tmp_path: Path
) -> None:
    expired(client)
    for name in ("a", "b", "c"):
        client["bulk"][name].insert_many({"_id": n, "text": "x" * 100} for n in range(BULK))
    assert run(source, "dump", str(tmp_path / "backup")).returncode == 0
    done = run(target, "restore", str(tmp_path / "backup"))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    with client_of(target) as other:
        index = other["odds"]["sessions"].index_information()["at_1"]
        assert index["expireAfterSeconds"] == 1
        gone(other, 30)

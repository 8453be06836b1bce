"""A power cut takes what no server was made to wait for, and nothing else: as root."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from cluster.drill.targets import disk
from cluster.drill.targets.disk import Disk
from cluster.errors import ClusterError
from cluster.local.binaries import find_mongod
from console.ports import choose

pytestmark = pytest.mark.skipif(disk.cannot() != "", reason=disk.cannot() or "it can")

WRITES = 500


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Disk]:
    """The disk of a member that has no data yet."""
    node = tmp_path / "shard-1-1"
    (node / "data").mkdir(parents=True)
    found = Disk(node)
    try:
        found.make()
        yield found
    except ClusterError as error:
        pytest.skip(f"this machine mounts nothing: {error}")
    finally:
        found.give_up()


@contextlib.contextmanager
def server(data: Path) -> Iterator[MongoClient[dict[str, Any]]]:
    """A mongod there, which is killed at the end."""
    (port,) = choose(1, ())
    given = ["--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"]
    given += ["--wiredTigerCacheSizeGB", "0.25", "--logpath", str(data.parent / "log")]
    client: MongoClient[dict[str, Any]]
    with subprocess.Popen([str(find_mongod()), *given]) as process:
        try:
            with MongoClient("127.0.0.1", port, directConnection=True) as client:
                yield client
        finally:
            process.kill()


@pytest.mark.long
@pytest.mark.parametrize("journal", [True, False])
def test_what_was_acknowledged_in_the_journal_survives(own: Disk, *, journal: bool) -> None:
    with server(own.data) as client:
        keys = client.drill.get_collection("keys", write_concern=WriteConcern(1, j=journal))
        for number in range(WRITES):
            keys.insert_one({"_id": number})
    own.cut_power()
    assert own.recover()
    with server(own.data) as client:
        found = client.drill.keys.count_documents({})
    # Without the journal the last are lost, or the cut is none: the journal is synced every 100 ms.
    assert found == WRITES if journal else found < WRITES

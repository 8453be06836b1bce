"""A command that is killed in any of its phases leaves nobody waiting, and can be run again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import count, islice

import pytest
from pymongo.write_concern import WriteConcern

from cluster.local.cluster import LocalCluster
from tests.helpers.clusters import cluster_of
from tests.local.cluster.small import client_of, command, run

pytestmark = pytest.mark.long

SHAPE = {"shards": 1, "members": 3, "config_servers": 3, "routers": 2}
COMMANDS = [
    ("rolling-restart",),
    ("rotate-key",),
    ("add-shard", "shard-2"),
    ("remove-shard", "shard-2"),
]
PATIENCE_MS = 30_000
LAST = "processes stopped and data folder deleted"
"""What a removal says when it is done: there is nothing left to repeat."""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster_of(tmp_path_factory.mktemp("killed"), **SHAPE) as made:
        with client_of(made) as client:
            client.admin.command("shardCollection", "mine.things", key={"_id": "hashed"})
        yield made


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_killed_in_each_phase(local: LocalCluster, words: tuple[str, ...]) -> None:
    """It is killed behind its first line of output, the next run behind the second, and so on."""
    for lines in count(1):
        if not killed_after(local, lines, words):
            break
        assert_writable(local)
    assert run(local, "status").returncode == 0
    with client_of(local) as client:
        shards = client.admin.command("listShards")["shards"]
    assert len(shards) == (2 if words[0] == "add-shard" else 1)


def killed_after(local: LocalCluster, lines: int, words: tuple[str, ...]) -> bool:
    """Run the command and kill it behind so many lines; False if it ended before."""
    with subprocess.Popen(
        command(local, *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = list(islice(process.stdout, lines))
        if len(said) == lines:
            process.kill()
            return LAST not in said[-1]
        assert process.wait() == 0, (said, process.stderr.read())
    return False


def assert_writable(local: LocalCluster) -> None:
    """Every shard acknowledges a write of somebody who has just come."""
    majority = WriteConcern("majority", wtimeout=PATIENCE_MS)
    with client_of(local) as client:
        things = client["mine"].get_collection("things", write_concern=majority)
        things.insert_many([{} for _ in range(20)])

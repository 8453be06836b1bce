"""Changing the key by which the servers know one another, while clients write and read."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence

import pytest
from pymongo.errors import PyMongoError

from cluster.lifecycle.rotate_key import rotate_key
from cluster.local.cluster import LocalCluster
from cluster.model.layout import Node
from cluster.model.secrets import read_keys
from cluster.servers.connections import Connections, refused
from tests.helpers.clusters import cluster_of
from tests.local.cluster.load import under_load
from tests.local.cluster.small import command, run

pytestmark = pytest.mark.long

SHAPE = {"shards": 1, "members": 3, "config_servers": 1, "routers": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster_of(tmp_path_factory.mktemp("rotation"), **SHAPE) as local:
        yield local


def accepting(local: LocalCluster, key: str) -> list[str]:
    """The members that let somebody in by this key."""
    found = []
    with Connections(key, timeout=5) as connections:
        for node in members(local):
            try:
                connections.member(node).admin.command("replSetGetStatus")
            except PyMongoError as error:
                if not refused(error):
                    raise
            else:
                found.append(node.name)
    return found


def members(local: LocalCluster) -> list[Node]:
    return [node for replica_set in local.access().layout.sets for node in replica_set.members]


class Watched(LocalCluster):
    """A cluster that takes down what is written into its key file."""

    written: list[Sequence[str]]

    def write_key(self, keys: Sequence[str]) -> None:
        self.written.append(list(keys))
        super().write_key(keys)


@pytest.mark.timeout(300)
def test_no_call_fails_and_the_old_key_is_worth_nothing(made: LocalCluster) -> None:
    old = made.state.key()
    watched = Watched(made.state.folder)
    watched.written = []
    with under_load(made) as load:
        rotate_key(watched, load.mark)
    assert load.report.errors == {}
    assert load.report.violations == []
    new = made.state.key()
    assert new != old
    assert watched.written == [[old, new], [new, new], [new]]
    assert read_keys(made.state.key_file) == [new]
    assert made.state.key_file.stat().st_mode & 0o777 == 0o400
    assert accepting(made, old) == []
    assert accepting(made, new) == [node.name for node in members(made)]


@pytest.mark.timeout(300)
def test_interrupted_it_goes_on_with_the_same_key(made: LocalCluster) -> None:
    made.up()
    old = made.state.key()
    for round_line in ("restarted, and in sync", "the new key alone"):
        work = subprocess.Popen(
            command(made, "rotate-key"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert work.stdout is not None
        for line in work.stdout:
            if round_line in line:
                break
        work.terminate()
        _, errors = work.communicate(timeout=60)
        assert errors == "error: interrupted. Run the same command again to go on.\n"
        if "sync" in round_line:
            first, new = read_keys(made.state.key_file)
            assert first == old
        else:
            assert read_keys(made.state.key_file) == [new, new]
    assert run(made, "status").returncode == 0
    done = subprocess.run(
        command(made, "rotate-key"), check=False, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    assert old not in done.stdout
    assert new not in done.stdout
    assert read_keys(made.state.key_file) == [new]
    assert accepting(made, old) == []
    assert accepting(made, new) == [node.name for node in members(made)]

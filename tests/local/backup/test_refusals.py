"""What is refused before anything is changed, and what an interrupted restore leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from pymongo import MongoClient

from cluster.backup.catalogue import databases
from cluster.local.cluster import LocalCluster
from tests.local.backup.clusters import empty
from tests.local.cluster.small import client_of, command, error_of, run

pytestmark = pytest.mark.long

Client = MongoClient[dict[str, Any]]
BULK = 20_000


@pytest.fixture(scope="module")
def backup(source: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that takes a second or two to restore."""
    empty(source)
    place: Path = tmp_path_factory.mktemp("backup") / "whole"
    with client_of(source) as client:
        client.admin.command("shardCollection", "bulk.one", key={"n": "hashed"})
        for name in ("one", "two"):
            client["bulk"][name].insert_many(
                {"_id": n, "n": n, "text": "x" * 100} for n in range(BULK)
            )
        client["bulk"].command("create", "view", viewOn="one", pipeline=[])
        client["bulk"]["two"].create_index("n")
    assert run(source, "dump", str(place)).returncode == 0
    return place


def copy_of(backup: Path, place: Path) -> Path:
    for path in sorted(backup.rglob("*")):
        goal = place / path.relative_to(backup)
        if path.is_file():
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.write_bytes(path.read_bytes())
    return place


def nothing_changed(target: LocalCluster) -> None:
    with client_of(target) as client:
        assert databases(client) == []
        assert client["cluster"]["restores"].count_documents({}) == 0
        assert client["cluster"]["holds"].count_documents({}) == 0
        assert client.admin.command("balancerStatus")["mode"] == "full"


def _cut(folder: Path) -> Path:
    path = folder / "bulk" / "one.bson"
    os.truncate(path, path.stat().st_size - 7)
    return path


def _cut_between(folder: Path) -> Path:
    path = folder / "bulk" / "one.bson"
    first = int.from_bytes(path.read_bytes()[:4], "little")
    os.truncate(path, path.stat().st_size - first)
    return path


def _flip(folder: Path) -> Path:
    path = folder / "bulk" / "two.bson"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 // 130 * 130 + 60] ^= 1
    path.write_bytes(whole)
    return path


def _nonsense(folder: Path) -> Path:
    path = folder / "bulk" / "two.bson"
    path.write_bytes(b"\xff" * 100)
    return path


def _lose(folder: Path) -> Path:
    path = folder / "bulk" / "two.bson"
    path.unlink()
    return path


def _lose_metadata(folder: Path) -> Path:
    path = folder / "bulk" / "two.metadata.json"
    path.unlink()
    return path


def _change_metadata(folder: Path) -> Path:
    path = folder / "bulk" / "two.metadata.json"
    path.write_text(path.read_text().replace('"n_1"', '"n_2"'))
    return path


def _change_manifest(folder: Path) -> Path:
    path = folder / "cluster.json"
    values = json.loads(path.read_text())
    del values["collections"][0]
    path.write_text(json.dumps(values))
    return path


def _lose_manifest(folder: Path) -> Path:
    path = folder / "cluster.json"
    path.unlink()
    return path


def _cut_manifest(folder: Path) -> Path:
    path = folder / "cluster.json"
    os.truncate(path, path.stat().st_size // 2)
    return path


DAMAGES = [
    _cut, _cut_between, _flip, _nonsense, _lose, _lose_metadata, _change_metadata,
    _change_manifest, _lose_manifest, _cut_manifest,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_backup_is_refused(
    backup: Path, target: LocalCluster, tmp_path: Path, damage: Callable[[Path], Path]
) -> None:
    broken = copy_of(backup, tmp_path / "broken")
    path = damage(broken)
    assert str(path) in error_of(run(target, "restore", str(broken))), "it names the file"
    nothing_changed(target)


def test_a_cluster_with_something_in_it_is_refused(backup: Path, target: LocalCluster) -> None:
    with client_of(target) as client:
        client["mine"]["things"].insert_one({"_id": 1})
        error = error_of(run(target, "restore", str(backup)))
        assert error.startswith("the cluster is not empty: it holds mine.things.")
        assert databases(client) == ["mine"]
        assert list(client["mine"]["things"].find()) == [{"_id": 1}]
        assert client["cluster"]["restores"].count_documents({}) == 0


def test_a_folder_that_exists_is_not_written_to(source: LocalCluster, backup: Path) -> None:
    assert "exists already" in error_of(run(source, "dump", str(backup)))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
@pytest.mark.parametrize("moment", ["no chunk moves", "made", "documents", "restored"])
def test_an_interrupted_restore_begins_anew(
    backup: Path, target: LocalCluster, moment: str, how: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", *command(target, "restore", str(backup))[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(moment in line for line in process.stdout)
    process.send_signal(how)
    process.communicate(timeout=30)
    assert process.returncode in (130, -how)
    with client_of(target) as client:
        if how == signal.SIGINT:
            assert client.admin.command("balancerStatus")["mode"] == "full"
        client["mine"]["things"].insert_one({"_id": 1})
        assert "it holds mine.things." in error_of(run(target, "restore", str(backup)))
        client.drop_database("mine")
        again = run(target, "restore", str(backup))
        assert (again.returncode, again.stderr) == (0, ""), again.stdout
        assert client["bulk"]["one"].count_documents({}) == BULK
        assert client.admin.command("balancerStatus")["mode"] == "full"
        assert client["cluster"]["holds"].count_documents({}) == 0
        assert client["cluster"]["restores"].count_documents({}) == 0


def test_what_differs_is_named(
    client: Client, source: LocalCluster, target: LocalCluster, tmp_path: Path
) -> None:
    """The server itself changes one kind of document when it is inserted."""
    client["odd"]["stamps"].insert_one({"_id": 1, "a": 1})
    client["odd"]["stamps"].update_one({"_id": 1}, {"$set": {"at": bson.Timestamp(0, 0)}})
    found = client["odd"]["stamps"].find_one()
    assert found == {"_id": 1, "a": 1, "at": bson.Timestamp(0, 0)}
    assert run(source, "dump", str(tmp_path / "backup")).returncode == 0
    done = run(target, "restore", str(tmp_path / "backup"))
    assert done.returncode == 3, done.stdout
    assert done.stderr == "error: odd.stamps: the document with _id 1 differs.\n"
    with client_of(target) as other:
        assert other.admin.command("balancerStatus")["mode"] == "full"

"""What is dumped and restored is the same, byte for byte, documents and all around them."""

from __future__ import annotations

import datetime
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from bson import json_util
from pymongo import MongoClient

from cluster.local.cluster import LocalCluster
from tests.local.backup.everything import descriptions, everything, put_everything
from tests.local.cluster.small import client_of, run

pytestmark = [pytest.mark.long, pytest.mark.core]

Client = MongoClient[dict[str, Any]]


def test_everything_survives(
    client: Client, source: LocalCluster, target: LocalCluster, tmp_path: Path
) -> None:
    put_everything(client)
    place = tmp_path / "backups" / "all"
    dumped = run(source, "dump", str(place))
    assert (dumped.returncode, dumped.stderr) == (0, ""), dumped.stdout
    restored = run(target, "restore", str(place))
    assert (restored.returncode, restored.stderr) == (0, ""), restored.stdout
    with client_of(target) as other:
        assert everything(other) == everything(client)
        assert descriptions(other) == descriptions(client)
        assert other["cluster"]["restores"].count_documents({}) == 0
        assert other["odds"]["capped"].find_one() == client["odds"]["capped"].find_one()
        # An ordinary cluster again: it takes writes, and its validators hold.
        other["shop"]["hashed"].insert_one({"_id": "new", "customer": "new"})
    _looks_like_mongodumps(place)
    _is_private(place.parent)


def _looks_like_mongodumps(place: Path) -> None:
    metadata = json_util.loads((place / "odds" / "indexed.metadata.json").read_text())
    assert metadata["collectionName"] == "indexed"
    assert len(metadata["uuid"]) == 32
    assert {index["name"] for index in metadata["indexes"]} >= {"_id_", "n_1", "wild"}
    assert (place / "odds" / "odd%20name%2Fwith%3A%20%25signs%C3%A9.bson").stat().st_size > 0
    assert not (place / "shop" / "view.bson").exists()
    assert sorted(p.name for p in place.iterdir()) == ["cluster.json", "files", "odds", "shop"]
    manifest = json.loads((place / "cluster.json").read_text())
    kept = {f"{c['database']}.{c['collection']}": c for c in manifest["collections"]}
    assert kept["shop.hashed"]["sharding"]["hashed"]
    assert kept["shop.ranged"]["documents"] == 100
    assert kept["shop.ranged"]["sharding"]["unique"]
    assert kept["odds.indexed"]["sharding"] is None


def _is_private(folder: Path) -> None:
    for path in folder.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_for_scripts(
    client: Client, source: LocalCluster, target: LocalCluster, tmp_path: Path
) -> None:
    client["shop"]["things"].insert_many({"_id": n} for n in range(3))
    place = tmp_path / "backup"
    dumped = json.loads(run(source, "dump", "--json", str(place)).stdout)
    assert dumped["folder"] == str(place)
    assert (dumped["collections"], dumped["documents"], dumped["tries"]) == (1, 3, 1)
    assert datetime.datetime.fromisoformat(dumped["moment"]).tzinfo is not None
    restored = json.loads(run(target, "restore", "--json", str(place)).stdout)
    assert restored == {
        "collections": 1, "documents": 3, "size": 42, "compared": True, "differences": [],
    }  # fmt: skip


def test_an_empty_cluster_has_a_backup_too(
    client: Client, source: LocalCluster, target: LocalCluster, tmp_path: Path
) -> None:
    assert client["shop"].list_collection_names() == []
    assert run(source, "dump", str(tmp_path / "none")).returncode == 0
    assert run(target, "restore", str(tmp_path / "none")).returncode == 0

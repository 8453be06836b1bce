"""What backups and drills left: each is found by its file, and read once."""

from __future__ import annotations

import json
from pathlib import Path

from bson import Timestamp

from cluster.backup.manifest import MANIFEST, Manifest, write_manifest
from cluster.drill.judge.verdict import read
from cluster.drill.report.results import results, write
from cluster.exporter import kept
from cluster.exporter.kept import Keeper
from tests.unit.cluster.drill.runs import Model, leave


def leave_backup(folder: Path, seconds: int) -> None:
    folder.mkdir(parents=True)
    write_manifest(folder, Manifest(Timestamp(seconds, 1), "8.0", {}, {}, []))


def test_backups_and_drills_are_found(tmp_path: Path) -> None:
    leave_backup(tmp_path / "backups/monday", 1_700_000_000)
    leave_backup(tmp_path / "backups/sunday", 1_600_000_000)
    leave_backup(tmp_path / "backups/.tuesday.partial", 1_800_000_000)
    run = read(leave(tmp_path / "drills/monday/1", Model().run()))
    write(run.folder, results(run))
    found = Keeper(tmp_path / "backups", tmp_path / "drills").kept
    assert found.backups is not None
    assert [one.name for one in found.backups] == ["sunday", "monday"]
    assert found.backups[1].taken.timestamp() == 1_700_000_000
    (drill,) = found.runs
    assert (drill.name, drill.title, drill.says) == ("1", run.run.title, "passed")


def test_what_is_none_is_left_out(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "backups", tmp_path / "drills")
    assert keeper.kept.backups is None  # nobody makes backups here
    (tmp_path / "backups/x").mkdir(parents=True)
    (tmp_path / "backups/x" / MANIFEST).write_text("{")
    (tmp_path / "drills/y").mkdir(parents=True)
    (tmp_path / "drills/y/report.json").write_text(json.dumps({"began": "yesterday"}))
    keeper.look()
    assert (keeper.kept.backups, keeper.kept.runs) == ((), ())
    leave_backup(tmp_path / "backups/monday", 1_700_000_000)
    keeper.look()
    assert len(keeper.kept.backups or ()) == 1
    keeper.close()


def test_a_file_is_read_once(tmp_path: Path) -> None:
    for number in range(kept.MOST + 3):
        leave_backup(tmp_path / f"{number}", 1_700_000_000 + number)
    keeper = Keeper(tmp_path, None)
    keeper.close()
    before = keeper.kept.backups
    assert before is not None
    assert len(before) == kept.MOST
    keeper.look()
    after = keeper.kept.backups
    assert after is not None
    assert all(one is other for one, other in zip(before, after, strict=True))

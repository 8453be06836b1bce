"""A backup has its name only once it is whole; what it says of itself is read back exactly."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import bson
import pytest

from cluster.backup.manifest import (
    DamageError,
    Entry,
    Manifest,
    create,
    digest_of,
    documents_file,
    new_backup,
    open_backup,
    write_manifest,
    write_metadata,
)
from cluster.errors import ClusterError

MOMENT = bson.Timestamp(1795672475, 0)
OPTIONS: dict[str, Any] = {
    "validator": {"a": {"$regex": "^x", "$options": "i"}, "b": {"$type": "date"}},
    "size": bson.Int64(4096),
    "max": 3,
    "ratio": 1.0,
    "pattern": bson.Regex("a", "m"),
    "collation": {"strength": 2, "locale": "fr"},
}


def written(folder: Path) -> Entry:
    entry = Entry("shop", "a/b", options=OPTIONS, indexes=[{"v": 2, "key": {"b": 1, "a": -1}}])
    entry.sharding = {
        "key": {"n": 1},
        "unique": False,
        "hashed": False,
        "zones": [{"zone": "z", "min": {"n": bson.MinKey()}, "max": {"n": bson.Int64(5)}}],
    }
    with open(create(documents_file(folder, entry)), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(bson.encode({"_id": 1}))
    entry.hold(digest_of(documents_file(folder, entry)))
    write_metadata(folder, entry)
    write_manifest(
        folder, Manifest(MOMENT, "8.0.4", {"shop": "shard-1"}, {"shard-1": ["z"]}, [entry])
    )
    return entry


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "backup"
    with new_backup(place) as folder:
        assert not place.exists()
        entry = written(folder)
    found = open_backup(place)
    assert (found.primaries, found.zones) == ({"shop": "shard-1"}, {"shard-1": ["z"]})
    (read,) = found.entries
    assert bson.encode(read.options) == bson.encode(OPTIONS)
    assert read.indexes == entry.indexes
    assert list(read.indexes[0]["key"]) == ["b", "a"]
    assert read.sharding == entry.sharding
    for path in (place, *place.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_backup(tmp_path / "backup") as folder:
            written(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_dump_left_is_swept(tmp_path: Path) -> None:
    left = tmp_path / ".backup.partial"
    (left / "try-1" / "shop").mkdir(parents=True)
    (left / "file").touch()
    with new_backup(tmp_path / "backup") as folder:
        assert list(folder.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["backup"]


def test_two_dumps_do_not_write_to_one_place(tmp_path: Path) -> None:
    with new_backup(tmp_path / "backup") as folder:
        written(folder)
        with (
            pytest.raises(ClusterError, match="another dump writes"),
            new_backup(tmp_path / "backup"),
        ):
            pass
    assert open_backup(tmp_path / "backup").taken == "2026-11-26T05:54:35+00:00"


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "backup").touch()
    with pytest.raises(ClusterError, match="exists already"), new_backup(tmp_path / "backup"):
        pass


def test_a_folder_that_is_no_backup_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(DamageError, match="Name the folder of a backup"):
        open_backup(tmp_path)


@pytest.mark.parametrize(
    ("number", "mounted", "advice"),
    [
        (errno.EACCES, None, "sudo chown {user} {folder}; or name another folder."),
        (errno.EACCES, "./backups", "sudo chown {user} ./backups; or name another folder."),
        (errno.EACCES, "backup", "sudo chown {user} {folder}; or name another folder."),
        (errno.ENOSPC, None, "Make room, or name another folder."),
        (errno.EROFS, None, "Name another folder."),
    ],
)
def test_what_to_do_fits_what_happened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    mounted: str | None,
    advice: str,
) -> None:
    monkeypatch.setattr("cluster.backup.manifest.MOUNT", tmp_path)
    if mounted:
        monkeypatch.setenv("SHARDSTACK_BACKUP", mounted)
    with pytest.raises(ClusterError) as caught, new_backup(tmp_path / "monday") as folder:
        raise OSError(number, os.strerror(number), str(folder))
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/.monday.partial: {os.strerror(number)}. ")
    assert said.endswith(advice.format(user=os.geteuid(), folder=tmp_path))

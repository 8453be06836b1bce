"""Private files and locks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from console import files
from console.errors import FileError


class Shape(msgspec.Struct):
    n: int


def test_a_file_is_private_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "new" / "secret"
    files.write(file, "one")
    files.write(file, b"two", 0o400)
    assert file.read_text() == "two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert list(file.parent.iterdir()) == [file]


def test_what_cannot_be_written_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileError, match="cannot be written to"):
        files.write(tmp_path / "taken", "x")
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="is not a folder"):
        files.make_folder(tmp_path / "file")
    assert not files.draft_of(tmp_path / "taken").exists()


def test_json_is_read_or_said_to_be_damaged(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    assert files.read_json(file, Shape) is None
    file.write_text('{"n": 3}')
    assert files.read_json(file, Shape) == Shape(3)
    file.write_text('{"n": ')
    with pytest.raises(FileError, match="damaged"):
        files.read_json(file, Shape)


def test_one_holds_a_lock_and_the_others_are_told(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    assert files.holder(file) is None
    with files.locked(file, "busy"):
        assert files.holder(file) == ""
        file.write_text(f"{os.getpid()}\n")
        assert files.holder(file) == str(os.getpid())
        with pytest.raises(FileError, match="busy"), files.locked(file, "busy"):
            pass
        file.unlink()  # as a purge does
    assert files.holder(file) is None
    with files.locked(file, "busy"):
        assert files.holder(file) is not None


def test_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert list(files.read_log(log, 2)) == []
    log.write_text("a\nb\nc\n")
    assert list(files.read_log(log, 2)) == ["b", "c"]


def test_a_followed_log_yields_whole_lines_as_they_come(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a\n")
    lines = files.read_log(log, 10, follow=True)
    assert next(lines) == "a"
    with log.open("a") as file:
        file.write("b\nc")
        file.flush()
        assert next(lines) == "b"
        file.write("c\n")
    assert next(lines) == "cc"
    log.rename(tmp_path / "log.old")
    log.write_text("d\n")
    assert next(lines) == "d"

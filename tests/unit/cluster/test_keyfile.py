"""What a key file may look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster import keyfile


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("abcdefgh\n", ["abcdefgh"]),
        ("abc def\nghi\n", ["abcdefghi"]),
        ("- firstkey\n- secondkey\n", ["firstkey", "secondkey"]),
        ('- "firstkey"\n', ["firstkey"]),
    ],
)
def test_key_files(tmp_path: Path, text: str, keys: list[str]) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    assert keyfile.read(path) == keys


@pytest.mark.parametrize("text", ["", "abc", "x" * 1025])
def test_key_files_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(ValueError, match="6 to 1024"):
        keyfile.read(path)

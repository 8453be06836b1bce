"""What a key file may look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.model.secrets import make_key, parse_keys, read_keys, render_keys


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
    assert read_keys(path) == keys


@pytest.mark.parametrize("text", ["", "abc", "x" * 1025])
def test_key_files_that_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(ValueError, match="6 to 1024"):
        read_keys(path)


def test_a_key_file_with_more_keys_than_a_server_takes() -> None:
    with pytest.raises(ValueError, match="3 keys"):
        parse_keys("- firstkey\n- secondkey\n- thirdkey\n")


@pytest.mark.parametrize("text", ["under_score", "two words!", "- firstkey\n- abc\n"])
def test_characters_that_no_key_has(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        parse_keys(text)


@pytest.mark.parametrize("count", [1, 2])
def test_what_is_written_is_read(count: int, tmp_path: Path) -> None:
    keys = [make_key() for _ in range(count)]
    assert len({*keys, "".join(keys)}) >= count  # not the same key each time
    (tmp_path / "key").write_text(render_keys(keys))
    assert read_keys(tmp_path / "key") == keys


def test_a_file_that_is_not_text_at_all(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="not plain text"):
        read_keys(tmp_path / "key")

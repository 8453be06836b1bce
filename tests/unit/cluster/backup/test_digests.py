"""Documents split, summed up and checked as bytes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import bson
import pytest

from cluster.backup.manifest import DamageError, Digest, digest_of, read, split

DOCUMENTS = [bson.encode({"_id": n, "text": "x" * n}) for n in range(20)]


def digest(documents: list[bytes]) -> tuple[int, int, str]:
    total = Digest()
    for document in documents:
        total.add(document)
    return total.documents, total.size, total.hex


def test_a_batch_is_split_where_documents_end() -> None:
    assert list(split(b"".join(DOCUMENTS))) == DOCUMENTS
    assert list(split(b"")) == []


def test_the_digest_does_not_depend_on_the_order() -> None:
    shuffled = random.Random(1).sample(DOCUMENTS, len(DOCUMENTS))  # noqa: S311
    assert digest(shuffled) == digest(DOCUMENTS)


def test_the_digest_tells_how_often_a_document_is_there() -> None:
    once, twice = DOCUMENTS[:2]
    assert digest([once, once, twice]) != digest([once, twice, twice])
    assert digest([once, twice]) != digest([once, twice, twice])


def test_the_digest_tells_a_single_bit() -> None:
    other = bytearray(DOCUMENTS[3])
    other[-2] ^= 1
    assert digest([*DOCUMENTS[:3], bytes(other)]) != digest(DOCUMENTS[:4])


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.bson"
    path.write_bytes(b"".join(DOCUMENTS))
    assert list(read(path)) == DOCUMENTS
    found = digest_of(path)
    assert (found.documents, found.size, found.hex) == digest(DOCUMENTS)


@pytest.mark.parametrize("missing", [1, 3, 20, 29])
def test_a_cut_off_file_is_damaged(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "a.bson"
    path.write_bytes(b"".join(DOCUMENTS))
    os.truncate(path, path.stat().st_size - missing)
    with pytest.raises(DamageError, match=r"a\.bson is damaged from byte \d+ on"):
        list(read(path))


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\4\0\0\0", b"\5\0\0\0\1"])
def test_what_is_no_bson_is_damaged(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "a.bson"
    path.write_bytes(DOCUMENTS[0] + junk)
    with pytest.raises(DamageError, match=f"from byte {len(DOCUMENTS[0])} on"):
        list(read(path))


def test_a_missing_file_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamageError, match="cannot be read"):
        list(read(tmp_path / "a.bson"))

"""A small disk that one node has for itself; it takes root."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.drill.targets import small_disk
from cluster.errors import ClusterError

pytestmark = pytest.mark.skipif(small_disk.cannot() != "", reason=small_disk.cannot() or "root")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder that is a small disk."""
    found = tmp_path / "nodes" / "shard-1-1" / "data"
    found.parent.mkdir(parents=True)
    try:
        small_disk.mount(found)
    except ClusterError as error:
        pytest.skip(f"this machine mounts nothing: {error}")
    yield found
    for one in small_disk.mounted(tmp_path):
        small_disk.unmount(one)


def test_it_is_full_and_is_freed(data: Path) -> None:
    small_disk.fill(data)
    assert shutil.disk_usage(data).free == 0
    with pytest.raises(OSError, match="No space left"):
        (data / "more").write_bytes(b"x" * 8192)
    small_disk.clear(data)
    assert shutil.disk_usage(data).free > 100 * 2**20


def test_only_a_drills_disks_below_the_folder_are_found(data: Path, tmp_path: Path) -> None:
    assert small_disk.mounted(tmp_path / "nodes") == [data]
    assert small_disk.mounted(tmp_path / "others") == []
    small_disk.unmount(data)
    assert small_disk.mounted(tmp_path / "nodes") == []

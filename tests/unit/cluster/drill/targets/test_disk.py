"""A disk that one node has for itself: full, still, without power, made and given up; as root."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.drill.targets import disk
from cluster.drill.targets.disk import Disk, disks
from cluster.errors import ClusterError

pytestmark = pytest.mark.skipif(disk.cannot() != "", reason=disk.cannot() or "it can")

HELD = b"what a member holds"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    """A node's folder, with data."""
    found = tmp_path / "nodes" / "shard-1-1"
    (found / "data" / "journal").mkdir(parents=True)
    (found / "data" / "journal" / "log").write_bytes(HELD)
    yield found
    if (found / "disk.img").exists():
        Disk(found).give_up()


@pytest.fixture
def own(node: Path) -> Disk:
    """The disk that holds them."""
    found = Disk(node)
    try:
        found.make()
    except ClusterError as error:
        pytest.skip(f"this machine mounts nothing: {error}")
    return found


def assert_as_before(node: Path) -> None:
    assert [path.name for path in node.iterdir()] == ["data"]
    assert not (node / "data").is_symlink()
    assert (node / "data" / "journal" / "log").read_bytes() == HELD


def test_data_move_onto_it_and_back(own: Disk, node: Path) -> None:
    assert [one.node for one in disks(node.parent)] == [node]
    assert (node / "data" / "journal" / "log").read_bytes() == HELD
    assert shutil.disk_usage(node / "data").total < shutil.disk_usage(node).total
    (node / "data" / "more").write_bytes(b"x")
    own.give_up()
    assert (node / "data" / "more").read_bytes() == b"x"
    (node / "data" / "more").unlink()
    assert_as_before(node)
    assert disks(node.parent) == []


def test_it_is_full_and_is_freed(own: Disk, node: Path) -> None:
    own.fill()
    assert shutil.disk_usage(node / "data").free == 0
    with pytest.raises(OSError, match="No space left"):
        (node / "data" / "more").write_bytes(b"x" * 8192)
    own.clear()
    assert shutil.disk_usage(node / "data").free > 100 * disk.MIB


def test_who_writes_waits_while_it_stands_still(own: Disk, node: Path) -> None:
    own.freeze()
    wrote = threading.Event()

    def write() -> None:
        (node / "data" / "more").write_bytes(b"x")
        wrote.set()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        assert not wrote.wait(0.3)
        assert (node / "data" / "journal" / "log").read_bytes() == HELD
    finally:
        own.thaw()
    thread.join()
    assert wrote.is_set()
    own.thaw()  # which does no harm


def test_without_power_it_forgets_what_was_not_synced(own: Disk, node: Path) -> None:
    (node / "data" / "not-synced").write_bytes(b"x")
    own.cut_power()
    with pytest.raises(OSError, match="error"):
        (node / "data" / "later").write_bytes(b"x")
    assert own.recover()
    assert (node / "data" / "journal" / "log").read_bytes() == HELD
    assert not (node / "data" / "not-synced").exists()
    assert not own.recover() or not (node / "disk" / disk.UNSYNCED).exists()


def test_it_is_given_up_without_power(own: Disk, node: Path) -> None:
    own.cut_power()
    own.give_up()
    assert_as_before(node)


def test_it_is_given_up_after_a_reboot(own: Disk, node: Path) -> None:
    own._unmount()
    assert not (node / "data").exists(), "a node would start with nothing"
    own.give_up()
    assert_as_before(node)


@pytest.mark.parametrize("step", ["no file system", "before the link", "before the end"])
def test_one_that_is_being_made_is_given_up(
    node: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise InterruptedError

    own = Disk(node)
    if step == "no file system":
        monkeypatch.setattr(disk, "_run", broken)
    elif step == "before the link":
        monkeypatch.setattr(Path, "symlink_to", broken)
    else:
        monkeypatch.setattr(shutil, "rmtree", broken)
    with pytest.raises(InterruptedError):
        own.make()
    monkeypatch.undo()
    own.give_up()
    assert_as_before(node)


def test_giving_it_up_may_be_broken_off(
    own: Disk, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise InterruptedError

    for name in ("rename", "unlink"):
        monkeypatch.setattr(Path, name, broken)
        with pytest.raises(InterruptedError):
            own.give_up()
        monkeypatch.undo()
    own.give_up()
    assert_as_before(node)

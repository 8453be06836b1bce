"""What cannot work is told in one line, loses nothing and leaves nothing running."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.local import boot
from cluster.local.binaries import find_mongod
from cluster.local.cluster import LocalCluster
from cluster.local.state import Record
from cluster.model import topology
from tests.local.cluster.small import SMALL, SMALL_FLAGS, client_of, error_of, run, running_pids

pytestmark = pytest.mark.long


def _program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)
    return folder


def _nothing_runs(local: LocalCluster) -> bool:
    return not local.state.record_file.exists() or not running_pids(local)


def test_mongod_without_a_library(empty: LocalCluster, tmp_path: Path) -> None:
    says = "mongod: error while loading shared libraries: libcurl.so.4: cannot open"
    folder = _program(tmp_path / "bin", "mongod", f"#!/bin/sh\necho '{says}' >&2\nexit 127\n")
    line = error_of(run(empty, "up", *SMALL_FLAGS, MONGODB_BIN_DIR=str(folder)))
    assert "needs libcurl.so.4, which is not installed. Install it" in line
    assert _nothing_runs(empty)


def test_mongod_that_dies_at_once(empty: LocalCluster, tmp_path: Path) -> None:
    """One that starts for --version but not for work: the reason comes from its log."""
    script = f'#!/bin/sh\n[ "$1" = --version ] && exec {find_mongod()} --version\n'
    folder = _program(tmp_path / "bin", "mongod", script + "echo 'Illegal instruction'; exit 132\n")
    line = error_of(run(empty, "up", *SMALL_FLAGS, MONGODB_BIN_DIR=str(folder)))
    assert "-1 ended with status 132: Illegal instruction. See " in line
    assert _nothing_runs(empty)


@pytest.mark.core
def test_taken_port(empty: LocalCluster) -> None:
    record = Record.new(topology.load(None, SMALL))
    boot.assign_ports(record)
    port = record.ports["router-1"]
    with socket.create_server(("127.0.0.1", port)):
        line = error_of(run(empty, "up", *SMALL_FLAGS, f"--ports={port}"))
        assert f"port {port} of router-1 is taken by process {os.getpid()} (" in line
        assert "choose other ports with --ports" in line
    assert _nothing_runs(empty)


def test_remembered_port_taken_meanwhile(small: LocalCluster) -> None:
    port = next(node.port for node in small.nodes() if node.name == "config-1")
    small.down()
    with socket.create_server(("127.0.0.1", port)):
        line = error_of(run(small, "up"))
    assert f"port {port} of config-1 is taken by process {os.getpid()} (" in line
    assert line.endswith("Stop that program.")
    assert _nothing_runs(small)


@pytest.mark.core
def test_damaged_record(small: LocalCluster) -> None:
    whole = small.state.record_file.read_text()
    try:
        small.state.record_file.write_text(whole[:100])
        for command in ("up", "status", "add-shard"):
            assert "cluster.json is damaged (" in error_of(run(small, command))
        assert run(small, "down").returncode == 0  # it must be possible to stop what runs
    finally:
        small.state.record_file.write_text(whole)
    assert running_pids(small) == {}


@pytest.mark.core
def test_lost_data_is_not_replaced_by_an_empty_shard(small: LocalCluster) -> None:
    small.down()
    data = small.state.node("shard-1-1") / "data"
    data.rename(data.with_name("elsewhere"))
    assert "the data of shard-1 is gone" in error_of(run(small, "up"))
    data.with_name("elsewhere").rename(data)
    assert run(small, "up").returncode == 0


def test_damaged_data_files(empty: LocalCluster) -> None:
    empty.up(**SMALL)
    empty.down()
    (empty.state.node("shard-1-1") / "data" / "WiredTiger.wt").write_bytes(b"x" * 4096)
    line = error_of(run(empty, "up"))
    assert "shard-1-1 " in line
    assert "its data files are damaged" in line
    assert _nothing_runs(empty)


@pytest.mark.parametrize(
    "content", [pytest.param("short", marks=pytest.mark.core), "with § signs" * 9, ""]
)
def test_unusable_key_file(small: LocalCluster, content: str) -> None:
    key = small.state.key()
    small.down()
    try:
        small.state.key_file.unlink()
        small.state.key_file.write_text(content)
        line = error_of(run(small, "up"))
        assert "is not a key file" in line or "cannot be read" in line
    finally:
        small.state.key_file.unlink()
        small.state.key_file.write_text(key)
    assert _nothing_runs(small)


def test_key_file_that_is_not_the_running_clusters(small: LocalCluster) -> None:
    before = running_pids(small)
    key = small.state.key()
    try:
        small.state.key_file.unlink()
        small.state.make_key()
        line = error_of(run(small, "up"))
        assert "refuses the key file: it runs with another one. Put that one back" in line
        done = run(small, "status")
        assert done.returncode == 1
        assert "shard-1-1: refuses the key file" in done.stdout
    finally:
        small.state.key_file.unlink()
        small.state.key_file.write_text(key)
    assert running_pids(small) == before


def test_state_that_is_no_folder(empty: LocalCluster) -> None:
    empty.state.folder.write_text("")
    try:
        assert "is not a folder" in error_of(run(empty, "up", *SMALL_FLAGS))
    finally:
        empty.state.folder.unlink()


def test_bad_topology_file(empty: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("shards = = 2")
    line = error_of(run(empty, "up", "--topology", str(tmp_path / "mine.toml")))
    assert "mine.toml is not valid TOML: " in line
    assert not empty.state.folder.exists()


# ---- full disks --------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [
        shutil.which("mount") or "/bin/mount",
        "-t",
        "tmpfs",
        "-o",
        "size=300m",
        "tmpfs",
        str(folder),
    ]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run([shutil.which("umount") or "/bin/umount", "--lazy", str(folder)], check=True)


def _fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65536)
    with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(b"x")


def test_full_disk_is_told_before_anything_starts(disk: Path) -> None:
    local = LocalCluster(disk / "state")
    try:
        line = error_of(run(local, "up"))
        assert "MiB are free, and 9 new nodes need " in line
        _fill(disk)
        assert "the disk of " in error_of(run(local, "up", *SMALL_FLAGS))
        assert not local.state.nodes.exists()
    finally:
        local.down(purge=True)


@pytest.mark.core
def test_disk_that_fills_later_loses_nothing(disk: Path) -> None:
    local = LocalCluster(disk / "state")
    try:
        local.up(**SMALL)
        with client_of(local) as admin:
            admin["kept"]["marks"].insert_one({"_id": 1})
        local.down()
        _fill(disk)
        line = error_of(run(local, "up"))
        assert "full" in line
        assert _nothing_runs(local)
        (disk / "filler").unlink()
        local.up()
        with client_of(local) as admin:
            assert admin["kept"]["marks"].find_one() == {"_id": 1}
    finally:
        local.down(purge=True)
        shutil.rmtree(local.state.folder, ignore_errors=True)

"""What commands say: of wrong usage, without a cluster, in a container, before data is lost."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import cluster
from cluster.__main__ import main
from cluster.local.state import Record, StateFolder
from cluster.model import topology


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up", "--shard", "3"], "No such option '--shard'. Did you mean '--shards'?"),
        (["up", "--shards", "x"], "Invalid value for '--shards'"),
        (["up", "--shards", "0"], "--shards is 0. Give a whole number from 1 to 32."),
        (["upp"], "No such command 'upp'. Did you mean 'up'?"),
        (["uri", "--user", "root"], "'root' is not one of"),
        (["restart"], "Missing argument 'NODE'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    done = _cluster(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "command", ["status", "uri", "add-shard", "restart x", "logs x", "drill heal", "drill run 1"]
)
def test_without_a_cluster_it_says_how_to_make_one(tmp_path: Path, command: str) -> None:
    done = _cluster(tmp_path, *command.split())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "there is no cluster in" in line
    assert "Make one with `up`" in line
    assert not (tmp_path / "state").exists()


def test_down_without_its_folder_is_fine_unless_somebody_named_it(tmp_path: Path) -> None:
    for more in ([], ["--purge"]):
        named = _cluster(tmp_path, "down", *more)
        assert (named.returncode, named.stdout) == (1, "")
        assert f"error: there is no folder {tmp_path}/state." in named.stderr
        unnamed = _in(tmp_path, "down", *more)
        assert unnamed.returncode == 0
        assert f"no cluster was ever made in {tmp_path}/.shardstack" in unnamed.stdout
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "state").touch()
    assert "error: there is no folder" in _cluster(tmp_path, "down").stderr


def test_down_tells_what_does_not_run_from_what_was_never_made(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    never = _cluster(tmp_path, "down")
    assert (never.returncode, "no cluster was ever made in" in never.stdout) == (0, True)
    assert list((tmp_path / "state").iterdir()) == []
    _stopped(tmp_path / "state")
    stopped = _cluster(tmp_path, "down")
    assert (stopped.returncode, "the cluster does not run" in stopped.stdout) == (0, True)


def test_status_of_what_does_not_run_is_one_line_and_status_3(tmp_path: Path) -> None:
    never = _in(tmp_path, "status")
    assert (never.returncode, never.stderr) == (3, "")
    assert never.stdout.startswith("cluster   was never made. Start it: ")
    assert never.stdout.count("\n") == 1
    _stopped(tmp_path / "state")
    stopped = _cluster(tmp_path, "status")
    assert (stopped.returncode, stopped.stderr) == (3, "")
    assert stopped.stdout.startswith("cluster   does not run. Start it: ")
    assert stopped.stdout.endswith(f" -m cluster up --state {tmp_path}/state\n")
    assert stopped.stdout.count("\n") == 1


def _stopped(folder: Path) -> None:
    """A state folder of a cluster that was made, and runs no longer."""
    record = Record.new(topology.load())
    record.ports = {name: 20_000 + place for place, name in enumerate(record.node_names())}
    folder.mkdir(exist_ok=True)
    StateFolder(folder).save(record)


def test_words_are_taken_as_help_writes_them_and_in_capitals(tmp_path: Path) -> None:
    flags = ("ports", "cache-gb", "oplog-mb", "connections", "profile")
    shown = " ".join(_cluster(tmp_path, "up", "--help").stdout.split())
    for flag in flags:
        assert f"--{flag} auto|" in shown
    for word in ("auto", "AUTO", "Auto"):
        given = [each for flag in flags for each in (f"--{flag}", word)]
        done = _cluster(tmp_path, "up", *given, "--shards", "0")
        assert done.stderr == "error: --shards is 0. Give a whole number from 1 to 32.\n"


def test_purge_asks_or_is_told_not_to(tmp_path: Path) -> None:
    (tmp_path / "state" / "api").mkdir(parents=True)
    done = _cluster(tmp_path, "down", "--purge")
    assert done.returncode == 1
    assert "There is nobody to ask; say --yes" in done.stderr
    assert _answered(tmp_path, "n") == (1, True)
    assert _answered(tmp_path, "y") == (0, False)
    (tmp_path / "state" / "secrets").mkdir(parents=True)
    assert _cluster(tmp_path, "down", "--purge", "--yes").returncode == 0
    assert not (tmp_path / "state").exists()


def _answered(folder: Path, answer: str) -> tuple[int, bool]:
    """`down --purge` at a terminal whose user says so: its status, and whether the folder stays."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        command = [sys.executable, "-m", "cluster", "down", "--purge"]
        done = subprocess.run(
            [*command, "--state", str(folder / "state")],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "deletes everything in" in done.stdout
    return done.returncode, (folder / "state").exists()


@pytest.mark.parametrize(
    "command",
    ["up", "up --shards 3", "down", "down --purge --yes", "logs x", "drill run core", "drill heal"],
)
def test_what_is_for_this_machine_only_is_refused_elsewhere(tmp_path: Path, command: str) -> None:
    (tmp_path / "state").mkdir()
    done = _cluster(tmp_path, *command.split(), SHARDSTACK_SECRETS=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert f"`{command.split(maxsplit=1)[0]}` is for processes of this machine" in line
    assert "docker compose" in line
    assert (tmp_path / "state").exists()


HOSTED = ["status", "uri", "add-shard", "remove-shard x", "restart x", "bootstrap", "dump /x"]
HOSTED += ["restore /x", "rolling-restart", "rotate-key", "check", "may-upgrade 8.0.17"]
HOSTED += ["feature-version 8.0 --yes", "rotate-passwords", "recover --yes", "exporter"]


@pytest.mark.parametrize("command", HOSTED)
def test_every_other_command_is_about_the_cluster_of_the_environment(
    tmp_path: Path, command: str
) -> None:
    done = _cluster(tmp_path, *command.split(), SHARDSTACK_SECRETS=str(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "users.json is missing: there is no cluster yet" in line


def test_every_command_is_tried_elsewhere() -> None:
    tried = {
        command.split()[0] for command in [*HOSTED, "up", "down", "logs", "prepare", "mongod-conf"]
    }
    assert tried == set(main.commands) - {"topology", "drill"}  # about no cluster, and: drill/


def test_the_topology_is_explained_wherever_one_asks(tmp_path: Path) -> None:
    for given in ({}, {"SHARDSTACK_SECRETS": str(tmp_path)}):
        done = subprocess.run(
            [sys.executable, "-m", "cluster", "topology"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env={**os.environ, **given},
        )
        assert done.stdout == topology.as_toml()


def test_an_image_without_local_clusters_says_so(tmp_path: Path) -> None:
    package = Path(cluster.__file__).parent
    left_out = shutil.ignore_patterns("local", "router", "drill")
    shutil.copytree(package, tmp_path / "cluster", ignore=left_out)
    shutil.copytree(package.parent / "console", tmp_path / "console")
    for command in ("status", "down", "logs x", "restart x"):
        done = subprocess.run(
            [sys.executable, "-S", "-m", "cluster", *command.split()],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            cwd=tmp_path,
            # The dependencies, but not the project itself, which is installed beside them.
            env={"PYTHONPATH": f"{tmp_path}:{Path(click.__file__).parents[1]}"},
        )
        assert done.returncode == 1, command
        (line,) = done.stderr.splitlines()
        assert "this image has what looks after containers and hosts only" in line


def _in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that names no state folder, run in `folder`."""
    unset = {name: value for name, value in os.environ.items() if name != "SHARDSTACK_STATE"}
    return subprocess.run(
        [sys.executable, "-m", "cluster", *arguments],
        cwd=folder,
        env=unset,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def _cluster(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cluster", *arguments]
    if arguments[0] not in ("bootstrap", "prepare"):
        command += ["--state", str(folder / "state")]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )

"""`up`, run again after every kind of damage, ends in the same state and loses nothing."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time

import psutil
import pytest

from cluster.errors import DeadlineError
from cluster.local.cluster import LocalCluster
from cluster.local.launcher import is_alive
from tests.local.cluster.small import SMALL, SMALL_FLAGS, client_of, command, run, running_pids

pytestmark = pytest.mark.long


def _mark(local: LocalCluster) -> None:
    with client_of(local) as admin:
        admin["kept"]["marks"].update_one({"_id": 1}, {"$set": {"n": 1}}, upsert=True)


def _check(local: LocalCluster) -> None:
    assert running_pids(local).keys() == {node.name for node in local.nodes()}
    with client_of(local) as admin:
        assert admin["kept"]["marks"].find_one() == {"_id": 1, "n": 1}


@pytest.mark.parametrize(
    "node", ["config-1", pytest.param("shard-1-1", marks=pytest.mark.core), "router-1"]
)
def test_one_process_killed(small: LocalCluster, node: str) -> None:
    _mark(small)
    others = {name: pid for name, pid in running_pids(small).items() if name != node}
    small.kill(node)
    small.up()
    _check(small)
    assert others.items() <= running_pids(small).items()


def test_one_that_is_still_stopping_is_started_again(small: LocalCluster) -> None:
    """It runs when `up` looks, and ends a moment later."""
    small.kill("shard-1-1", signal.SIGTERM)
    small.up()
    assert small.primary("shard-1").pid


@pytest.mark.core
def test_everything_killed(small: LocalCluster) -> None:
    _mark(small)
    for node in small.nodes():
        small.kill(node.name)
    small.up()
    _check(small)


def test_after_a_reboot(small: LocalCluster) -> None:
    """All processes are gone and their ids belong to others."""
    _mark(small)
    for node in small.nodes():
        small.kill(node.name)
    stranger = psutil.Process()
    for node in small.nodes():
        pid_file = small.state.node(node.name) / "pid"
        pid_file.write_text(f"{stranger.pid} {stranger.create_time():.2f}\n")
    small.up()
    _check(small)


def test_lost_pid_files_and_uris(small: LocalCluster) -> None:
    _mark(small)
    before = running_pids(small)
    for node in small.nodes():
        (small.state.node(node.name) / "pid").unlink()
    (small.state.secrets / "admin.uri").unlink()
    small.up()
    _check(small)
    assert running_pids(small) == before


@pytest.mark.core
def test_lost_key_file_while_stopped(small: LocalCluster) -> None:
    _mark(small)
    small.down()
    small.state.key_file.unlink()
    small.up()
    _check(small)


@pytest.mark.parametrize("seconds", [0.4, pytest.param(1.0, marks=pytest.mark.core), 1.8])
def test_interrupted_anywhere(empty: LocalCluster, seconds: float) -> None:
    """The first `up` is killed without a chance to clean up; the second is asked to stop."""
    for sent in (signal.SIGKILL, signal.SIGTERM):
        with subprocess.Popen(
            command(empty, "up", *SMALL_FLAGS), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as first:
            try:
                first.wait(seconds)
            except subprocess.TimeoutExpired:
                first.send_signal(sent)
    done = run(empty, "up", *SMALL_FLAGS)
    assert done.returncode == 0, done.stderr
    _mark(empty)
    _check(empty)


def test_asked_to_stop_it_leaves_nothing_running(empty: LocalCluster) -> None:
    with subprocess.Popen(
        command(empty, "up", *SMALL_FLAGS), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as up:
        end = time.monotonic() + 20
        while not list(empty.state.nodes.glob("config-1/pid")) and time.monotonic() < end:
            time.sleep(0.01)
        process = psutil.Process(int((empty.state.node("config-1") / "pid").read_text().split()[0]))
        up.send_signal(signal.SIGTERM)
        _, said = up.communicate(timeout=20)
    assert up.returncode == 130
    assert said.decode().count("\n") == 1
    assert b"interrupted. Run the same command again" in said
    assert not is_alive(process)
    assert running_pids(empty) == {}


@pytest.mark.core
def test_down_stops_all_and_up_finds_the_data(small: LocalCluster) -> None:
    _mark(small)
    small.down()
    assert running_pids(small) == {}
    small.up()
    _check(small)


def test_purge_leaves_nothing(empty: LocalCluster) -> None:
    empty.up(**SMALL)
    pids = running_pids(empty).values()
    empty.down(purge=True)
    assert not empty.state.folder.exists()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def _primary_for(local: LocalCluster, set_name: str, seconds: float) -> None:
    """Asks until there is no primary: one that lost its majority notices after a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        local.primary(set_name, seconds=0)


# ---- the shared cluster, with sets of three ----------------------------------------------------


@pytest.mark.core
def test_member_that_lost_its_data_gets_it_from_the_others(healed_cluster: LocalCluster) -> None:
    primary = healed_cluster.primary("shard-1").name
    victim = next(
        node.name
        for node in healed_cluster.nodes()
        if node.set_name == "shard-1" and node.name != primary
    )
    healed_cluster.kill(victim)
    shutil.rmtree(healed_cluster.state.node(victim) / "data")
    healed_cluster.up()
    assert (healed_cluster.state.node(victim) / "data" / "WiredTiger").exists()


def test_primary_is_named_only_when_there_is_one(healed_cluster: LocalCluster) -> None:
    for node in healed_cluster.nodes():
        if node.set_name == "shard-2" and not node.name.endswith("-1"):
            healed_cluster.kill(node.name)
    survivor = next(n for n in healed_cluster.nodes() if n.name == "shard-2-1")
    assert survivor.pid
    with pytest.raises(DeadlineError, match="shard-2-2 not listening"):
        _primary_for(healed_cluster, "shard-2", seconds=20)


@pytest.mark.core
def test_whole_set_killed(healed_cluster: LocalCluster) -> None:
    with client_of(healed_cluster) as admin:
        admin["kept"]["sets"].insert_one({"_id": 1})
        for node in healed_cluster.nodes():
            if node.set_name == "shard-1":
                healed_cluster.kill(node.name)
        healed_cluster.up()
        assert admin["kept"]["sets"].find_one() == {"_id": 1}
        admin.drop_database("kept")


def test_a_router_that_runs_older_code_is_restarted(small: LocalCluster) -> None:
    """Once, and nothing else is."""
    _mark(small)
    before = running_pids(small)
    marks = list(small.state.nodes.glob("*/code"))
    if not marks:
        pytest.skip("a real mongos serves here")
    for mark in marks:
        mark.write_text("older\n")
    said: list[str] = []
    small.up(report=said.append)
    assert "router-1 ran older code: restarting it" in said
    _check(small)
    after = running_pids(small)
    assert {name for name, pid in after.items() if pid != before[name]} == {"router-1"}
    small.up(report=said.append)
    assert running_pids(small) == after

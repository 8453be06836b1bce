"""Starting a router with something wrong: one line that says what, exit code not 0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.local.cluster import LocalCluster


def run(*arguments: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-m", "cluster.router", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return result.returncode, result.stderr


@pytest.fixture
def config(cluster: LocalCluster) -> str:
    nodes = [node for node in cluster.nodes() if node.kind == "config"]
    return "cfg/" + ",".join(f"{node.host}:{node.port}" for node in nodes)


@pytest.fixture
def key(cluster: LocalCluster) -> str:
    return str(cluster.state.secrets / "keyFile")


def last(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_wrong_key_file(config: str, tmp_path: Path) -> None:
    wrong = tmp_path / "key"
    wrong.write_text("another-key-of-this-length")
    code, said = run("--configdb", config, "--keyFile", str(wrong), "--port", "1")
    assert code == 1
    assert "refuses this key file" in last(said)


def test_a_key_file_that_is_none(config: str, tmp_path: Path) -> None:
    code, said = run("--configdb", config, "--keyFile", str(tmp_path / "none"))
    assert code == 1
    assert "none" in last(said)
    (tmp_path / "short").write_text("abc")
    code, said = run("--configdb", config, "--keyFile", str(tmp_path / "short"))
    assert code == 1
    assert "6 to 1024 characters" in last(said)


def test_a_taken_port(config: str, key: str, cluster: LocalCluster) -> None:
    taken = str(cluster.primary("cfg").port)
    code, said = run("--configdb", config, "--keyFile", key, "--port", taken)
    assert code == 1
    assert "address already in use" in last(said)


@pytest.mark.parametrize("configdb", ["nonsense", "cfg/", "cfg/host", "cfg/host:0", "/h:1"])
def test_a_configdb_of_the_wrong_form(configdb: str, key: str) -> None:
    code, said = run("--configdb", configdb, "--keyFile", key)
    assert code == 1
    assert last(said).startswith("error: ")


def test_an_unknown_option(config: str, key: str) -> None:
    code, said = run("--configdb", config, "--keyFile", key, "--tlsMode", "x")
    assert code == 2
    assert "--tlsMode" in last(said)

"""Starting a router with something wrong: one line that says what, exit code not 0."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from cluster.local.cluster import LocalCluster
from cluster.model.layout import Node
from cluster.servers.connections import listens
from cluster.servers.waiting import Waiter
from tests.helpers.routers import connect


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
    wrong.write_text("anotherKeyOfThisLength")
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
    code, said = run("--configdb", config, "--keyFile", key, "--sslMode", "x")
    assert code == 2
    assert "--sslMode" in last(said)


WRONG = {
    "an unknown parameter": (["--setParameter", "ttlMonitorEnabled=false"], "is not known here"),
    "a parameter without a value": (
        ["--setParameter", "mongosShutdownTimeoutMillisForSignaledShutdown"],
        "whole number",
    ),
    "an exception for this machine": (
        ["--setParameter", "enableLocalhostAuthBypass=true"],
        "is always false",
    ),
    "TLS without a certificate": (["--tlsMode", "requireTLS"], "needs --tlsCertificateKeyFile"),
    "a certificate without TLS": (["--tlsCAFile", "x"], "need --tlsMode requireTLS"),
    "a certificate that is none": (
        ["--tlsMode=requireTLS", "--tlsCertificateKeyFile", __file__, "--tlsCAFile", __file__],
        "does not hold a certificate",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_option(wrong: str, config: str, key: str) -> None:
    flags, words = WRONG[wrong]
    code, said = run("--configdb", config, "--keyFile", key, *flags)
    assert code == 1
    assert len(said.splitlines()) == 1
    assert words in said


def test_the_flags_of_a_container(config: str, key: str, cluster: LocalCluster) -> None:
    """What Compose passes to a mongos; `shutdown` ends it with status 0, without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    flags = ["--configdb", config, "--keyFile", key, "--port", str(port), "--bind_ip_all"]
    flags += ["--setParameter", "mongosShutdownTimeoutMillisForSignaledShutdown=300"]
    flags += ["--setParameter", "enableLocalhostAuthBypass=false"]
    flags += ["--networkMessageCompressors", "snappy,zstd"]
    process = subprocess.Popen([sys.executable, "-m", "cluster.router", *flags])
    try:
        for address in ("127.0.0.1", "127.0.0.2"):
            node = Node("router", address, port)
            Waiter(30).until(lambda node=node: listens(node) or None, lambda: "it does not listen")
        with (
            connect(
                cluster, port, username="app", password=cluster.access().passwords["app"]
            ) as app,
            pytest.raises(OperationFailure, match="shutdown"),
        ):
            app.admin.command("shutdown")
        with connect(cluster, port) as admin, pytest.raises(AutoReconnect):
            admin.admin.command("shutdown", force=True, timeoutSecs=1)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait(60)

"""TLS towards clients, config servers and shards: encrypted, verified, nothing in plain text."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure

from cluster.lifecycle.bootstrap import bootstrap
from cluster.model.layout import Node
from cluster.servers.connections import Access
from cluster.servers.waiting import Waiter
from tests.local.router.certificates import Authority
from tests.local.router.servers import PASSWORDS, Servers

pytestmark = [pytest.mark.long, pytest.mark.core]

HOST = "localhost"
ANONYMOUS = "--tlsAllowConnectionsWithoutCertificates"
Client = MongoClient[dict[str, Any]]


def tls(certificate: Path, authority: Path) -> list[str]:
    files = ["--tlsCertificateKeyFile", str(certificate), "--tlsCAFile", str(authority)]
    return ["--tlsMode", "requireTLS", *files]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "stranger")


@pytest.fixture(scope="module")
def own(authority: Authority) -> Path:
    """The servers' certificate."""
    return authority.sign("server", HOST, "127.0.0.1")


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, own: Path
) -> Iterator[Servers]:
    """Members and a router that demand TLS, made a cluster."""
    servers = Servers(tmp_path_factory.mktemp("tls"), HOST)
    try:
        servers.start_members(*tls(own, authority.file), ANONYMOUS)
        servers.start_router(*tls(own, authority.file), ANONYMOUS)
        bootstrap(servers.access(authority.file), lambda _: None)
        yield servers
    finally:
        servers.close()


@pytest.fixture(scope="module")
def access(servers: Servers, authority: Authority) -> Access:
    return servers.access(authority.file)


def client(port: int, **options: Any) -> Client:
    who = {"username": "admin", "password": PASSWORDS["admin"]}
    return MongoClient(HOST, port, serverSelectionTimeoutMS=3000, **{**who, **options})


def test_work_goes_through_it_to_the_shard(access: Access) -> None:
    with MongoClient[dict[str, Any]](access.uri("admin")) as admin:
        admin.admin.command("shardCollection", "app.things", key={"_id": "hashed"})
        things = admin.app.things
        things.insert_many([{"_id": n} for n in range(500)])
        assert things.count_documents({}) == 500
        assert len(list(things.find({}, batch_size=100))) == 500  # longer than a TLS record
        large = "x" * 5_000_000
        things.insert_one({"_id": "large", "text": large})
        assert things.find_one({"_id": "large"}) == {"_id": "large", "text": large}


def test_plain_text_is_refused(servers: Servers) -> None:
    with client(servers.router.port) as plain, pytest.raises(ConnectionFailure):
        plain.admin.command("ping")


def test_a_client_must_show_a_certificate_unless_told_otherwise(
    servers: Servers, authority: Authority, stranger: Authority, own: Path
) -> None:
    port = servers.port()
    servers.start_router(*tls(own, authority.file), port=port)
    servers.wait_for(Node(f"router-{port}", HOST, port))
    files = {"tlsCAFile": str(authority.file)}
    with client(port, tls=True, **files) as anonymous, pytest.raises(ConnectionFailure):
        anonymous.admin.command("ping")
    files["tlsCertificateKeyFile"] = str(own)
    with client(port, tls=True, **files) as known:
        assert known.admin.command("listDatabases")["ok"] == 1
    files["tlsCertificateKeyFile"] = str(stranger.sign("client", HOST))
    with client(port, tls=True, **files) as unknown, pytest.raises(ConnectionFailure):
        unknown.admin.command("ping")


def refusal(servers: Servers, process: subprocess.Popen[bytes], words: str) -> None:
    """The router does not begin to serve, and says why."""
    name = next(name for name, known in servers.processes.items() if known is process)
    Waiter(20).until(
        lambda: words in servers.log(name) or None, lambda: f"no {words!r}: {servers.log(name)}"
    )
    assert "listening" not in servers.log(name)
    process.terminate()
    assert process.wait(60) == 0


def test_members_of_another_authority_are_not_believed(
    servers: Servers, stranger: Authority
) -> None:
    theirs = stranger.sign("router", HOST)
    router = servers.start_router(*tls(theirs, stranger.file), port=servers.port())
    refusal(servers, router, "certificate verify failed")


def test_members_under_another_name_are_not_believed(
    servers: Servers, authority: Authority, own: Path
) -> None:
    port = servers.port()
    seed = f"cfg/127.0.0.2:{servers.config.members[0].port}"  # not in the certificate
    router = servers.start_router(*tls(own, authority.file), "--configdb", seed, port=port)
    refusal(servers, router, "IP address mismatch")


def test_members_that_demand_tls_are_not_reached_without(servers: Servers) -> None:
    router = servers.start_router(port=servers.port())
    refusal(servers, router, "unreachable")

"""The database slow, away, or its answers lost: latency or 503, never a wrong answer."""

import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from api.resources import USERS
from api.settings import Settings
from api.store import Documents, Store
from cluster.local.cluster import LocalCluster


class LossyProxy:
    """Stands before a router; cuts the connection instead of returning one chosen answer."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lose: bytes | None = None  # in a request, whose answer is then lost
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            try:
                while request := self._message(client):
                    server.sendall(request)
                    answer = self._message(server)
                    if self.lose is not None and self.lose in request:
                        self.lose = None
                        self.lost += 1
                        return
                    client.sendall(answer)
            except OSError:
                return

    @staticmethod
    def _message(source: socket.socket) -> bytes:
        data = b""
        while len(data) < 4 or len(data) < int.from_bytes(data[:4], "little"):
            got = source.recv(65536)
            if not got:
                return b""
            data += got
        return data

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy(cluster: LocalCluster) -> Iterator[LossyProxy]:
    router = next(n for n in cluster.nodes() if n.kind == "router")
    proxy = LossyProxy(("127.0.0.1", router.port))
    yield proxy
    proxy.close()


@pytest.mark.parametrize("retries", ["false", "true"])
@pytest.mark.parametrize("lost", [b"claims\x00", b"users\x00"])
def test_an_applied_insert_whose_answer_was_lost_is_a_success(
    conf: Settings, proxy: LossyProxy, lost: bytes, retries: str
) -> None:
    """Also without the driver's own repetition, where the repeated insert is a duplicate key."""
    user = conf.database_uri.partition("://")[2].partition("@")[0]
    uri = (
        f"mongodb://{user}@127.0.0.1:{proxy.port}/shardstack"
        f"?authSource=admin&retryWrites={retries}&heartbeatFrequencyMS=60000&serverMonitoringMode=poll"
    )
    store = Store(msgspec.structs.replace(conf.store_options(), uri=uri))
    try:
        users = USERS.documents(store)
        users.get(USERS.documents(store).create(fields())["_id"])  # connected and logged in
        proxy.lose = b"\x02insert\x00" + len(lost).to_bytes(4, "little") + lost
        if lost == b"users\x00" and retries == "false":
            # Never repeated blindly; the outcome is unknown, and nobody is told a wrong one.
            with pytest.raises(Exception, match="did not answer"):
                users.create(fields())
        else:
            made = users.create(fields())
            assert users.get(made["_id"]) is not None
        assert proxy.lost == 1
    finally:
        store.close()


def test_an_insert_that_was_applied_before_is_recognised_as_ones_own(
    seam: Any, users: Documents
) -> None:
    """A repetition under another transaction number: the document is there, the key is taken."""
    applied: list[Any] = []

    def apply_first(name: str, collection: str, command: dict[str, Any]) -> None:
        if (name, collection) == ("insert", "users") and not applied:
            applied.append(command["documents"][0]["_id"])
            users.collection.insert_one(dict(command["documents"][0]))

    with seam.hooked(before=apply_first):
        made = users.create(fields())
    assert applied == [made["_id"]]
    assert users.collection.count_documents({"email": made["email"]}) == 1
    found = users.find_unique("email", made["email"])
    assert found is not None
    assert found["_id"] == made["_id"]


def fields() -> dict[str, Any]:
    mark = secrets.token_hex(6)
    return {"email": f"{mark}@example.com", "national_id": mark.upper(), "name": "L"}


@pytest.fixture
def orphan(conf: Settings) -> Iterator[Flask]:
    """An app whose database is not there."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    app = create_app(
        msgspec.structs.replace(
            conf,
            database_uri=f"mongodb://127.0.0.1:{port},127.0.0.1:{port}1/x".replace(f"{port}1", "1"),
            request_deadline=1.5,
        )
    )
    yield app
    app.extensions["store"].close()


def test_health_without_a_database(orphan: Flask) -> None:
    client = orphan.test_client()
    assert client.get("/healthz").json == {"status": "ok"}
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.mimetype == "application/problem+json"


def test_past_the_deadline_it_is_503(orphan: Flask) -> None:
    body = {"email": "a@example.com", "password": "long-enough-1"}
    answer = orphan.test_client().post("/api/v1/auth/login", json=body)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["type"] == "urn:shardstack:problem:unavailable"


def test_ready_says_which_router_serves(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json["router"].startswith(("mongos ", "stand-in router (MongoDB "))


@pytest.mark.long
def test_a_stopped_primary_is_latency(
    healed_cluster: LocalCluster, client: FlaskClient, ada: dict[str, Any]
) -> None:
    """Reads and writes of one document, while the primary that holds it is killed."""
    killed = threading.Timer(0.3, lambda: [healed_cluster.kill(n) for n in primaries])
    primaries = [healed_cluster.primary("shard-1").name, healed_cluster.primary("shard-2").name]
    killed.start()
    end = time.monotonic() + 4
    versions, slowest = [], 0.0
    while time.monotonic() < end:
        began = time.monotonic()
        answer = client.patch(ada["url"], json={"name": "A"}, headers=ada["headers"])
        assert answer.status_code == 200, answer.json
        slowest = max(slowest, time.monotonic() - began)
        versions.append(answer.json["version"])
    killed.join()
    assert versions == list(range(2, len(versions) + 2))  # none lost, none applied twice
    assert slowest > 0.3  # it did fail over


def test_what_a_bug_logs_carries_the_id_that_the_client_has(
    app: Flask, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def bug() -> None:
        raise RuntimeError("a bug")

    (endpoint,) = (
        rule.endpoint for rule in app.url_map.iter_rules() if rule.rule == "/api/v1/auth/me"
    )
    monkeypatch.setitem(app.view_functions, endpoint, bug)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    answer = app.test_client().get("/api/v1/auth/me", headers=admin)
    assert answer.status_code == 500
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (fault,) = (line for line in lines if "a bug" in line.get("exception", ""))
    assert fault["request_id"] == answer.headers["X-Request-Id"]

"""What administrators see of the cluster: the exporter's picture, or why there is none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from api.app import create_app
from api.settings import Settings
from api.store import Store
from cluster.local.cluster import LocalCluster
from tests.helpers.api import free_port
from tests.local.exporter.exporting import exporting

CLUSTER = "/api/v1/cluster"

Watching = Callable[[str], FlaskClient]


@pytest.fixture
def watching(conf: Settings, store: Store) -> Iterator[Watching]:
    """Makes apps that ask the exporter at an address."""
    with ExitStack() as stack:

        def make(url: str) -> FlaskClient:
            uri = store.options.uri
            app = create_app(msgspec.structs.replace(conf, database_uri=uri, cluster_url=url))
            stack.callback(app.extensions["store"].close)
            return app.test_client()

        yield make


def test_it_is_what_the_exporter_tells(
    watching: Watching, cluster: LocalCluster, admin: dict[str, str]
) -> None:
    with exporting(cluster) as exporter:
        answer = watching(exporter.url).get(CLUSTER, headers=admin)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        told, own = answer.get_json(), exporter.picture()
    assert told.keys() == own.keys()
    assert [one["name"] for one in told["sets"]] == [one["name"] for one in own["sets"]]


def test_without_one_it_says_so(watching: Watching, admin: dict[str, str]) -> None:
    answer = watching("").get(CLUSTER, headers=admin)
    assert answer.status_code == 404
    assert answer.get_json()["type"] == "urn:shardstack:problem:no-monitor"
    assert "SHARDSTACK_CLUSTER_URL" in answer.get_json()["detail"]


def test_it_is_for_administrators(watching: Watching, ada: dict[str, Any]) -> None:
    client = watching("")
    assert client.get(CLUSTER).status_code == 401
    assert client.get(CLUSTER, headers=ada["headers"]).status_code == 403


class Odd(BaseHTTPRequestHandler):
    """Answers with what its server was given."""

    server: Any

    def do_GET(self) -> None:
        status, body = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    "odd",
    [(200, b"<html>"), (200, b"{}"), (500, b'{"at": 1, "problems": []}'), (200, b""), None],
    ids=str,
)
def test_what_does_not_answer_well_is_unavailable(
    watching: Watching, admin: dict[str, str], odd: tuple[int, bytes] | None
) -> None:
    with ExitStack() as stack:
        port = free_port()
        if odd is not None:
            server: Any = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Odd))
            server.answer, port = odd, server.server_address[1]
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        answer = watching(f"http://127.0.0.1:{port}").get(CLUSTER, headers=admin)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers

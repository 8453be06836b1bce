"""The exporter's HTTP server: a cluster's metrics, and its picture, once or as a stream."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cluster.errors import ClusterError
from cluster.exporter.kept import Keeper
from cluster.exporter.metrics import metrics
from cluster.exporter.picture import picture
from cluster.exporter.snapshot import Snapshot
from cluster.exporter.watcher import Watcher
from cluster.servers.connections import Access
from console import Report
from console.signals import ENDING

METRICS = "text/plain; version=0.0.4; charset=utf-8"
EVERY_SECONDS = 1.0
"""Between two pictures of a stream."""
MOST_STREAMS = 16
IDLE_SECONDS = 30.0
"""For which a connection may be silent."""

PATHS = "/metrics, /status.json, /status.stream and /healthz"


class ExporterServer(ThreadingHTTPServer):
    """Serves one cluster, at `address`. `name`: what to call the cluster in labels."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], watcher: Watcher, name: str) -> None:
        super().__init__(address, _Handler)
        self.watcher = watcher
        self.name = name
        self.streams = threading.BoundedSemaphore(MOST_STREAMS)
        self.ending = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nobody's fault; anything else is told as usual."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: ExporterServer
    protocol_version = "HTTP/1.1"
    server_version = "shardstack-exporter"
    sys_version = ""
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer, or say what there is."""
        match self.path.partition("?")[0]:
            case "/metrics":
                snapshot = self.server.watcher.snapshot()
                self._send(HTTPStatus.OK, METRICS, metrics(snapshot, self.server.name))
            case "/status.json":
                told = _json(self.server.watcher.snapshot())
                self._send(HTTPStatus.OK, "application/json", f"{told}\n")
            case "/status.stream":
                self._stream()
            case "/healthz":
                self._send(HTTPStatus.OK, "text/plain", "ok\n")
            case _:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", f"There are {PATHS}.\n")

    def do_HEAD(self) -> None:
        """The same, without a body."""
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not told of: there is one every few seconds."""

    def _stream(self) -> None:
        """Server-sent events, one picture each, until the client goes."""
        if not self.server.streams.acquire(blocking=False):
            told = f"There are {MOST_STREAMS} streams already. Close one.\n"
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", told)
            return
        try:
            self.close_connection = True
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            sent = 0.0
            while not self.server.ending.is_set() and self.command == "GET":
                began = time.monotonic()
                snapshot = self.server.watcher.snapshot()
                if snapshot.at != sent:  # on a busy machine one may be younger than FRESH_SECONDS
                    sent = snapshot.at
                    self.wfile.write(f"data: {_json(snapshot)}\n\n".encode())
                self.server.ending.wait(max(0.0, began + EVERY_SECONDS - time.monotonic()))
        finally:
            self.server.streams.release()

    def _send(self, status: HTTPStatus, media: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _json(snapshot: Snapshot) -> str:
    return json.dumps(picture(snapshot), separators=(",", ":"))


def serve(
    find: Callable[[], Access], keeper: Keeper, address: tuple[str, int], name: str, say: Report
) -> None:
    """Serve until SIGINT or SIGTERM. `find`: what it takes to reach the servers.

    Raises ClusterError: there is no cluster, or nobody can listen at this address.
    """
    with contextlib.closing(Watcher(find, keeper)) as watcher:
        try:
            server = ExporterServer(address, watcher, name)
        except OSError as error:
            host, port = address
            raise ClusterError(
                f"cannot listen at {host}:{port}: {error.strerror}. Give another --port or --host."
            ) from None
        with server:
            say(f"serving {PATHS} at {server.url}")
            for one in ENDING:
                signal.signal(one, lambda *_: threading.Thread(target=server.shutdown).start())
            server.serve_forever()
            server.ending.set()

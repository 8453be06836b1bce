"""Where the API asks for the cluster: an exporter that tells what a test wants, or the truth."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests


class Monitor:
    """A server of /status.json.

    picture   what it tells; None: it answers 503
    exporter  the address of a real one, which is asked instead
    """

    def __init__(self) -> None:
        self.picture: dict[str, Any] | None = None
        self.exporter: str | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def text(self) -> bytes | None:
        """What it tells now."""
        if self.exporter is not None:
            return requests.get(f"{self.exporter}/status.json", timeout=5).content
        return None if self.picture is None else json.dumps(self.picture).encode()

    @contextmanager
    def serving(self) -> Iterator[Monitor]:
        """It, at work."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = monitor.text()
                self.send_response(503 if text is None else 200)
                self.send_header("Content-Length", str(len(text or b"")))
                self.end_headers()
                self.wfile.write(text or b"")

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        return Handler

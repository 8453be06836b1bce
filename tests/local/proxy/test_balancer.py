"""The Caddyfile behind a load balancer, which has ended TLS and speaks plain HTTP.

The upstream is a small one, and any Caddy will do: an older one reads the Caddyfile as Compose's
stand-in does.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.helpers.caddy import CADDYFILE, Caddy

OLDER = Path(__file__).parents[2] / "compose/standin/caddyfile-of-2.6.sed"
FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
Start = Callable[..., Caddy]


class Echo(BaseHTTPRequestHandler):
    """Answers with the headers that reached it."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        text = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts Caddy before the upstream, with variables."""
    binary = os.environ.get("CADDY") or shutil.which("caddy")
    if binary is None:
        pytest.skip("there is no caddy")
    version = subprocess.run([binary, "version"], check=True, capture_output=True, text=True).stdout
    caddyfile = CADDYFILE
    if version.lstrip("v").startswith("2.6."):
        caddyfile = tmp_path_factory.mktemp("caddyfile") / "Caddyfile"
        sed = ["sed", "-f", str(OLDER), "-e", "/request_buffers/d", str(CADDYFILE)]
        caddyfile.write_bytes(subprocess.run(sed, check=True, capture_output=True).stdout)
    running: list[Caddy] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

        def run(**variables: str) -> Caddy:
            upstreams = {"SHARDSTACK_UPSTREAMS": f"127.0.0.1:{server.server_port}"}
            folder = tmp_path_factory.mktemp("caddy")
            running.append(Caddy(binary, folder, {**upstreams, **variables}, caddyfile))
            running[-1].wait_ready()
            return running[-1]

        try:
            yield run
        finally:
            for one in running:
                one.stop()
            server.shutdown()


@pytest.fixture(scope="module")
def balanced(start: Start) -> Caddy:
    """Caddy, whose balancer is here."""
    return start(SHARDSTACK_BALANCER="127.0.0.0/8")


def plain(caddy: Caddy, path: str, **arguments: str) -> requests.Response:
    return requests.get(
        f"http://127.0.0.1:{caddy.plain_port}{path}",
        headers={**FORWARDED, **arguments},
        allow_redirects=False,
        timeout=20,
    )


def test_who_comes_through_it_is_served(balanced: Caddy) -> None:
    answer = plain(balanced, "/api/v1/projects")
    assert answer.status_code == 200
    seen = answer.json()
    assert seen["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert "Strict-Transport-Security" in answer.headers
    assert "Server" not in answer.headers or "Caddy" not in answer.headers["Server"]


def test_a_consumer_cannot_name_its_requests(balanced: Caddy) -> None:
    forged = {"X-Proxy-Request": "forged"}
    assert plain(balanced, "/api/v1/projects", **forged).json()["x-proxy-request"] != "forged"


def test_what_is_closed_and_what_is_alive(balanced: Caddy) -> None:
    closed = plain(balanced, "/metrics")
    assert closed.headers["Content-Type"] == "application/problem+json"
    assert closed.json() == {"type": "about:blank", "title": "Not Found", "status": 404}
    assert plain(balanced, "/healthz").text == "ok"


@pytest.mark.parametrize("variables", [{}, {"SHARDSTACK_BALANCER": "10.20.0.0/20"}])
def test_everybody_else_is_sent_to_https(start: Start, variables: dict[str, str]) -> None:
    caddy = start(**variables)
    answer = plain(caddy, "/api/v1/projects")
    assert answer.status_code == 308
    assert answer.headers["Location"].startswith("https://")
    assert plain(caddy, "/healthz").text == "ok"
    secure = requests.get(
        f"{caddy.url}/api/v1/projects", headers=FORWARDED, verify=caddy.ca, timeout=20
    )
    assert secure.json()["x-forwarded-for"] in ("127.0.0.1", "::1")
    lost = requests.get(f"{caddy.url}/metrics", verify=caddy.ca, timeout=20)
    assert lost.json() == {"type": "about:blank", "title": "Not Found", "status": 404}

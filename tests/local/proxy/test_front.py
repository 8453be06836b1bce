"""What Caddy itself does, before any replica fails: redirect, headers, closed doors, its log."""

from __future__ import annotations

import json
import secrets
import uuid

import requests

from tests.helpers.api import make_person
from tests.helpers.caddy import Caddy


def test_plain_http_is_sent_to_https(caddy: Caddy) -> None:
    answer = requests.get(
        f"http://localhost:{caddy.plain_port}/api/v1/projects?limit=1",
        allow_redirects=False,
        timeout=5,
    )
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{caddy.url}/api/v1/projects?limit=1"
    alive = requests.get(f"http://localhost:{caddy.plain_port}/healthz", timeout=5)
    assert (alive.status_code, alive.text) == (200, "ok")


def test_headers(caddy: Caddy) -> None:
    """No HSTS for a certificate that only we trust; the API's own headers come through."""
    answer = requests.get(f"{caddy.url}/readyz", verify=caddy.ca, timeout=5)
    assert "Strict-Transport-Security" not in answer.headers
    assert "Caddy" not in answer.headers.get("Server", "")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_metrics_are_closed(caddy: Caddy) -> None:
    for path in ("/metrics", "/metrics/", "/METRICS", "/%6detrics", "//metrics"):
        session = requests.Session()
        session.verify, session.trust_env = str(caddy.ca), False  # a bundle in the environment wins
        prepared = session.prepare_request(requests.Request("GET", caddy.url))
        prepared.url = f"{caddy.url}{path}"
        answer = session.send(prepared, timeout=5)
        assert answer.status_code == 404, path
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == 404


def test_a_consumer_cannot_name_its_requests(caddy: Caddy) -> None:
    """Caddy gives each request a name of its own, whatever the consumer sent."""
    person = make_person()
    session = requests.Session()
    session.verify, session.trust_env = str(caddy.ca), False  # a bundle in the environment wins
    assert session.post(f"{caddy.url}/api/v1/auth/signup", json=person, timeout=20).ok
    body = {"email": person["email"], "password": person["password"]}
    tokens = session.post(f"{caddy.url}/api/v1/auth/login", json=body, timeout=20).json()
    session.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    made = session.post(f"{caddy.url}/api/v1/projects", json={"name": "X"}, timeout=20)
    url = caddy.url + made.headers["Location"]
    forged = {"X-Proxy-Request": str(uuid.uuid4()), "If-Match": '"1"'}
    found = [session.patch(url, json={"name": "Y"}, headers=forged, timeout=20) for _ in range(2)]
    assert [answer.status_code for answer in found] == [200, 412]
    [first] = session.get(f"{caddy.url}/api/v1/auth/sessions", timeout=20).json()["items"]
    assert first["address"] in ("127.0.0.1", "::1")


def test_the_log_tells_no_secrets(caddy: Caddy) -> None:
    secret = secrets.token_hex(12)
    headers = {"Authorization": f"Bearer {secret}", "Cookie": f"a={secret}", "X-Any": secret}
    for path in (f"/api/v1/projects?after={secret}", f"/metrics?{secret}"):
        requests.get(f"{caddy.url}{path}", headers=headers, verify=caddy.ca, timeout=5)
    requests.get(f"{caddy.url}/api/v1/no-such-route", verify=caddy.ca, timeout=5)
    text = caddy.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    seen = {line["request"]["uri"] for line in lines if "request" in line}
    assert {"/api/v1/projects", "/metrics", "/api/v1/no-such-route"} <= seen
    assert secret not in text


def test_a_body_above_every_limit(caddy: Caddy) -> None:
    answer = requests.post(
        f"{caddy.url}/api/v1/auth/login",
        data=b"x" * 200_000,
        headers={"Content-Type": "application/json"},
        verify=caddy.ca,
        timeout=10,
    )
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"

"""CORS: listed origins and nobody else, preflights for routes that there are."""

from __future__ import annotations

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from api import settings
from api.settings import SettingsError
from api.settings.checks import origins
from api.web import cors, problems

LISTED = "https://app.example"
OTHERS = [
    None, "null", "", "https://evil.example", "http://app.example", f"{LISTED}.evil.example",
    f"{LISTED}:8443", f"{LISTED}/", LISTED.upper(), f"{LISTED},https://evil.example",
]  # fmt: skip
BASE = {"SHARDSTACK_DATABASE_URI": "mongodb://127.0.0.1:1,127.0.0.1:2/x"}


def make(listed: str) -> FlaskClient:
    app = Flask("x", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    problems.install(app)
    cors.install(app, origins(listed, "cors_origins"))
    app.add_url_rule("/x", "x", lambda: Response("x", headers={"ETag": '"1"'}), methods=["GET"])

    @app.get("/bug")
    def bug() -> Response:
        raise RuntimeError

    return app.test_client()


@pytest.fixture
def client() -> FlaskClient:
    return make(f" {LISTED} , http://localhost:3000")


def preflight(client: FlaskClient, origin: str | None, path: str, method: str | None) -> Response:
    headers = {} if origin is None else {"Origin": origin}
    if method is not None:
        headers["Access-Control-Request-Method"] = method
    return client.options(path, headers=headers)


def cors_headers(response: Response) -> list[str]:
    return [name for name, _ in response.headers if name.startswith("Access-Control")]


def test_a_listed_origin(client: FlaskClient) -> None:
    for origin in (LISTED, "http://localhost:3000"):
        for path, status in (("/x", 200), ("/nothing", 404), ("/bug", 500)):
            answer = client.get(path, headers={"Origin": origin})
            assert answer.status_code == status
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
            assert "Origin" in answer.headers["Vary"].split(", ")


@pytest.mark.parametrize("origin", OTHERS)
def test_other_origins(client: FlaskClient, origin: str | None) -> None:
    answer = client.get("/x", headers={} if origin is None else {"Origin": origin})
    assert answer.status_code == 200
    assert not cors_headers(answer)
    assert "Origin" in answer.headers["Vary"].split(", ")
    refused = preflight(client, origin, "/x", "GET")
    assert refused.status_code == 405
    assert not cors_headers(refused)


def test_preflights(client: FlaskClient) -> None:
    good = preflight(client, LISTED, "/x", "GET")
    assert good.status_code == 204
    assert good.headers["Access-Control-Allow-Methods"] == "GET"
    assert "If-Match" in good.headers["Access-Control-Allow-Headers"]
    assert "X-CSRF-TOKEN" in good.headers["Access-Control-Allow-Headers"]
    assert preflight(client, LISTED, "/x", "DELETE").status_code == 405
    assert preflight(client, LISTED, "/x", "NONSENSE").status_code == 405
    assert preflight(client, LISTED, "/x", None).status_code == 405
    assert preflight(client, LISTED, "/nothing", "GET").status_code == 404


def test_what_a_page_can_read(client: FlaskClient) -> None:
    """All that our answers tell in headers, on errors too."""
    for path in ("/x", "/nothing", "/bug"):
        answer = client.get(path, headers={"Origin": LISTED})
        exposed = set(answer.headers["Access-Control-Expose-Headers"].split(", "))
        assert exposed >= {"Accept-Patch", "Allow", "Content-Disposition", "ETag", "Link"}
        assert exposed >= {"Location", "Retry-After", "X-Request-Id", "Idempotent-Replayed"}


def test_without_origins_there_is_no_cors() -> None:
    client = make("")
    answer = client.get("/x", headers={"Origin": LISTED})
    assert not cors_headers(answer)
    assert "Vary" not in answer.headers
    assert preflight(client, LISTED, "/x", "GET").status_code == 405


@pytest.mark.parametrize(
    "wrong",
    ["*", "https://*.example", "app.example", "https://app.example/", "https://app.example/x",
     "https://app.example:443", "http://app.example:80", "ftp://app.example", "null",
     "https://a@app.example", "https://APP.example", "https://app.example,*", "https://"],
)  # fmt: skip
def test_wrong_origins_are_refused_at_start(wrong: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load({**BASE, "SHARDSTACK_CORS_ORIGINS": wrong}, tokens=False)
    message = str(caught.value)
    assert message.startswith("SHARDSTACK_CORS_ORIGINS: '")
    assert "https://app.example,http://localhost:3000" in message
    assert "\n" not in message

"""/docs: the page and its files, from here alone."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from flask import Flask

from api import docs
from api.web.problems import ProblemError

FOLDER = Path(docs.__file__).parent


@pytest.fixture
def app() -> Flask:
    app = Flask("x", static_folder=None)
    app.register_blueprint(docs.blueprint())
    return app


def test_the_files_are_those_that_the_readme_names() -> None:
    named = dict(
        re.findall(
            r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", (FOLDER / "README.md").read_text(), re.M
        )
    )
    ours = {"index.html", "start.js"}
    assert set(named) | ours == {path.name for path in (FOLDER / "viewer").iterdir()}
    for name, digest in named.items():
        assert hashlib.sha256((FOLDER / "viewer" / name).read_bytes()).hexdigest() == digest


def test_the_page_needs_nothing_from_elsewhere(app: Flask) -> None:
    page = app.test_client().get("/docs")
    assert page.status_code == 200
    assert "<script>" not in page.text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert address.startswith(("/docs/", "/api/v1/", "data:,"))
        if address.startswith("/docs/"):
            assert app.test_client().get(address).status_code == 200
    policy = dict(
        part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"


def test_files_are_packed_and_kept(app: Flask) -> None:
    client = app.test_client()
    plain = client.get("/docs/swagger-ui.css")
    packed = client.get("/docs/swagger-ui.css", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert plain.headers["ETag"] != packed.headers["ETag"]
    again = client.get("/docs/swagger-ui.css", headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", ["LICENSE", "nothing.js", "../README.md", "..%2fREADME.md", "%00"])
def test_other_files_are_not_served(app: Flask, name: str) -> None:
    app.register_error_handler(ProblemError, lambda error: ("", error.status))
    assert app.test_client().get(f"/docs/{name}").status_code == 404

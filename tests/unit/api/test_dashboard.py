"""The pages' files: served as they are, from here alone; their texts, in both languages."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from flask import Flask

from api import dashboard
from api.dashboard import CLIENT
from api.web.problems import ProblemError

FOLDER = Path(dashboard.__file__).parent
FILES = FOLDER / "client"
OURS = [path for path in sorted(FILES.rglob("*.js")) if path.parent.name != "vendor"]
LANGUAGES = ("en", "es")


@pytest.fixture
def app() -> Flask:
    app = Flask("x", static_folder=None)
    app.register_blueprint(dashboard.blueprint())
    app.register_error_handler(ProblemError, lambda error: ("", error.status))
    return app


def catalogue(language: str) -> dict[str, str]:
    """The texts of a language by name."""
    lines = (FILES / "i18n" / f"{language}.js").read_text().splitlines()
    found = [line.strip().rstrip(",") for line in lines if line.strip().startswith('"')]
    texts = [json.loads(f"{{{line}}}") for line in found]
    names = [name for text in texts for name in text]
    assert len(names) == len(set(names))
    return {name: text for one in texts for name, text in one.items()}


def test_vendored_files_are_those_that_the_readme_names() -> None:
    named = dict(
        re.findall(
            r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", (FOLDER / "README.md").read_text(), re.M
        )
    )
    found = {path.name: path.read_bytes() for path in (FILES / "vendor").iterdir()}
    assert named == {name: hashlib.sha256(text).hexdigest() for name, text in found.items()}


def test_the_page_leads_only_to_files_that_are_here(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/dashboard")
    assert page.status_code == 200
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=", page.text)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {one for one in addresses if one.startswith("/dashboard/")}
    for address in addresses:
        assert address in ("data:,", "/docs") or client.get(address).status_code == 200


IMPORTED = re.compile(r'\b(?:import|export)\b[\w\s{},*]*from\s*"([^"]+)"')


def test_modules_import_only_what_is_here(app: Flask) -> None:
    client, reached = app.test_client(), set()
    for path in [*OURS, *FILES.glob("vendor/*.js")]:
        text = path.read_text()
        for name in IMPORTED.findall(text):
            assert name.startswith("."), f"{path}: {name}"
            target = (path.parent / name).resolve().relative_to(FILES)
            assert client.get(f"/dashboard/{target}").status_code == 200, f"{path}: {name}"
            reached.add(str(target))
    reached |= {"main.js", "style.css", *(f"i18n/{one}.js" for one in LANGUAGES)}
    assert reached == set(CLIENT.assets)


def test_the_policy_lets_no_code_in(app: Flask) -> None:
    for path in ("/dashboard", "/dashboard/main.js"):
        answer = app.test_client().get(path)
        policy = dict(
            part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; ")
        )
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'"
    sources = "".join(path.read_text() for path in OURS)
    assert not re.search(r"innerHTML|outerHTML|\beval\(|new Function|document\.write", sources)


def test_files_are_packed_and_kept(app: Flask) -> None:
    client = app.test_client()
    plain = client.get("/dashboard/style.css")
    packed = client.get("/dashboard/style.css", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data
    again = client.get("/dashboard/style.css", headers={"If-None-Match": plain.headers["ETag"]})
    assert again.status_code == 304
    assert plain.headers["Cache-Control"].startswith("public")


@pytest.mark.parametrize(
    "name",
    ["vendor/LICENSE-htm", "nothing.js", "index.html", "../README.md", "..%2frenew", "i18n", "%00"],
)
def test_other_files_are_not_served(app: Flask, name: str) -> None:
    assert app.test_client().get(f"/dashboard/{name}").status_code == 404


def test_the_start_leads_to_the_pages(app: Flask) -> None:
    answer = app.test_client().get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/dashboard")


def test_the_languages_have_the_same_texts() -> None:
    english, spanish = (catalogue(one) for one in LANGUAGES)
    assert english.keys() == spanish.keys()
    for name, text in english.items():
        assert re.findall(r"\{\w+\}", text) == sorted(
            re.findall(r"\{\w+\}", spanish[name]), key=re.findall(r"\{\w+\}", text).index
        ), name
    plurals = {name.rpartition(".")[0] for name in english if name.endswith(".one")}
    assert plurals == {name.rpartition(".")[0] for name in english if name.endswith(".other")}


CHOSEN = re.compile(
    r"^(field|resource|value)\.|^sign-in\.(out|ended|expired|password)$|^analytics\.\w+$"
)
"""Texts whose names are put together."""


def test_every_text_is_used_and_every_text_used_is_there() -> None:
    names = {re.sub(r"\.(one|other)$", "", name) for name in catalogue("en")}
    sources = "".join(path.read_text() for path in OURS if path.parent.name != "i18n")
    used = set(re.findall(r'\bt\(\s*"([^"]+)"', sources))
    for either in re.findall(r"\bt\(([^()`]*\?[^()`]*)\)", sources):
        used |= set(re.findall(r'"([\w.-]+)"', either.partition("?")[2]))
    assert used <= names
    quoted = {name for name in names if f'"{name}"' in sources}
    assert {name for name in names - quoted if not CHOSEN.search(name)} == set()


ATTRIBUTES = ("aria-label", "title", "placeholder", "alt", "label", "text", "verb")


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(FILES)))
def test_views_have_no_words_of_their_own(path: Path) -> None:
    """As far as that can be seen: no letters between tags, nor in attributes that are read."""
    text = re.sub(r"^\s*(//|\*|/\*).*$", "", path.read_text(), flags=re.M)
    for template in re.findall(r"html`(.*?)`;?$", text, re.S | re.M):
        plain = template
        while "${" in plain:
            plain, before = re.sub(r"\$\{[^${}]*(\{[^{}]*\}[^${}]*)*\}", "§", plain), plain
            if plain == before:
                break
        between = re.findall(r">([^<>$`{}=]*[^\W\d_]{2,}[^<>$`{}=]*)</", plain)
        said = [one.strip() for one in between if "=>" not in one and "§" not in one]
        assert [one for one in said if one and one != "shardstack"] == []
        for name in ATTRIBUTES:
            assert re.findall(rf'\s{name}="[^"]*[a-z][^"]*"', plain) == []

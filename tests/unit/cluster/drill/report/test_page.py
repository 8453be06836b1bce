"""The page of a run: whole, for everybody, and with nothing from outside."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from cluster.drill.commands import drill
from cluster.drill.history import History, Outcome
from cluster.drill.judge.verdict import read
from cluster.drill.report import page
from cluster.drill.report.svg import Ink
from cluster.errors import DrillError
from tests.unit.cluster.drill.judge.test_verdict import without_one
from tests.unit.cluster.drill.runs import EVENTS, RUN, Model, leave

NASTY = "<script>alert('$x$')</script> & \"co\""


class Elements(HTMLParser):
    """Every element that a page opens, with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a lost write, an error of a client, and names that mean something in HTML."""
    history = without_one(Model().run())
    odd = [replace(c, group=NASTY) if c.group == "shard-2" else c for c in history.calls]
    failed = replace(odd[0], token=NASTY, outcome=Outcome.UNKNOWN, error=NASTY)
    run = replace(
        RUN,
        title=NASTY,
        hypothesis=NASTY,
        findings=(NASTY,),
        settings={NASTY: NASTY},
        events=tuple(replace(e, text=NASTY, node=NASTY) for e in EVENTS),
        concerned=(NASTY,),
    )
    return leave(
        tmp_path_factory.mktemp("run"), History([*odd, replace(failed, kind="append")]), run
    )


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return page.render(read(folder))


def test_names_and_errors_are_text(html: str) -> None:
    assert "<script" not in html
    assert "&lt;script&gt;alert(" in html
    assert "$x$" in html  # no formula for the plots, either


def test_nothing_comes_from_outside(html: str) -> None:
    assert "default-src 'none'" in html
    for tag, attributes in Elements(html).found:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed"), tag
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert (value or "").startswith("#"), (tag, name, value)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html


def test_every_plot_tells_its_content_in_words(html: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == 5  # two groups, two histograms, the violation
    for drawing in drawings:
        root = ET.fromstring(drawing)  # noqa: S314 - our own
        assert root.get("role") == "img"
        title, description = (root.find(f"{{*}}{name}") for name in ("title", "desc"))
        assert title is not None
        assert description is not None
        assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert len(description.text or "") > 40


def test_identifiers_are_used_once_and_references_are_there(html: str) -> None:
    ids = [a["id"] for _, a in Elements(html).found if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'href="#([^"]+)"', html)) | set(re.findall(r"url\(#([^)]+)\)", html))
    assert wanted <= set(ids)


def test_both_colour_schemes_have_every_colour(html: str) -> None:
    light, _, dark = html.partition("prefers-color-scheme: dark")
    for ink in Ink:
        assert ink.value not in html
        assert f"{ink.variable}:" in light
        assert f"{ink.variable}:" in dark.partition("</style>")[0]


def test_the_structure_is_that_of_a_document(html: str) -> None:
    elements = Elements(html).found
    assert ("html", {"lang": "en"}) in elements
    assert [tag for tag, _ in elements].count("h1") == 1
    assert {tag for tag, _ in elements} >= {"main", "title", "figure", "figcaption"}
    scrolling = [a for _, a in elements if a.get("class") == "scroll"]
    assert scrolling
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolling)


def test_the_fewest_calls_are_listed(html: str) -> None:
    (calls,) = re.findall(r"that show it:</p><ol>(.*?)</ol>", html)
    assert 2 <= calls.count("<li>") <= 3


def test_a_run_without_calls_or_faults_has_a_page_too(tmp_path: Path) -> None:
    text = page.render(read(leave(tmp_path, History(), replace(RUN, events=()))))
    assert "PROVES NOTHING" in text
    assert "There was no fault." in text


def test_several_runs_have_a_page_with_all_outages(tmp_path: Path) -> None:
    turns = tuple(replace(e, turn=1, at=e.at + 3_000_000_000) for e in EVENTS)
    many = replace(RUN, events=(*EVENTS, *turns))
    slow = replace(RUN, election_timeout=10.0)
    leave(tmp_path / "a", Model().run(9.0), many)
    leave(tmp_path / "b", Model(seed=1).run(), slow)
    file = tmp_path / "all.html"
    done = CliRunner().invoke(drill, ["report", str(tmp_path), "--html", str(file)])
    assert done.exit_code == 0
    text = file.read_text(encoding="utf-8")
    assert "election timeout 10 s" in text
    assert "2 faults, median" in text
    assert "Outages, fault by fault" in (tmp_path / "a" / "report.html").read_text("utf-8")


def test_without_matplotlib_it_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = tuple(f"cluster.drill.report.{name}" for name in ("page", "plots", "svg"))
    for name in [one for one in sys.modules if one.startswith(("matplotlib", *drawing))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delattr("cluster.drill.report.page")
    refused = CliRunner().invoke(drill, ["report", str(folder)])
    assert isinstance(refused.exception, DrillError)
    assert "there is no matplotlib" in str(refused.exception)

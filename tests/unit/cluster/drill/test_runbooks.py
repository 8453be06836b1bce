"""The runbooks say what the program says, and name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster.drill.report.comparison import PLACE
from tests.helpers.streets import ROOT

BOOKS = ROOT / "cluster" / "drill" / "runbooks"
PAGES = sorted(path for path in BOOKS.glob("*.md") if path.name != "README.md")
SECTIONS = ["What you see", "What happens by itself", "What to do", "What it costs"]
STATUS = (ROOT / "cluster" / "lifecycle" / "status.py", ROOT / "cluster" / "local" / "cluster.py")
SAID = {
    "has no primary: it takes no writes": STATUS[0],
    "does not serve: ": STATUS[0],
    "it answers, but not for every shard: ": STATUS[0],
    "serves no more than it knows: the config servers are down": STATUS[0],
    "the config servers cannot be read: nothing is known about the shards": STATUS[0],
    "not running. Start what is missing with `up`": STATUS[1],
    "members end when they cannot": STATUS[1],
    "The database did not answer in time": ROOT / "api" / "web" / "problems.py",
    "has answered a majority read in the last ": ROOT / "api" / "web" / "health.py",
    "its data files are damaged": ROOT / "cluster" / "local" / "programs.py",
    "Delete its data folder, and it copies the data from the": ROOT / "cluster/local/programs.py",
}
"""Words that runbooks quote, and the file that says them."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_its_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.M) == SECTIONS
    assert PLACE.search(text), "no place for the figures of a drill"


def test_every_page_is_in_the_table() -> None:
    text = (BOOKS / "README.md").read_text(encoding="utf-8")
    table = text.partition("| `status` says")[0]
    assert re.findall(r"^\| \[([a-z-]+)\]", table, re.M) == [page.stem for page in PAGES]


@pytest.mark.parametrize("words", SAID)
def test_what_is_quoted_is_what_is_said(words: str) -> None:
    assert words in _joined(SAID[words])
    quoting = ["The database did not answer in time"]
    books = " ".join(path.read_text(encoding="utf-8") for path in BOOKS.glob("*.md"))
    flat = " ".join(books.replace("`", "").split())
    assert words in quoting or " ".join(words.replace("`", "").split()) in flat


def _joined(file: Path) -> str:
    """Its text, with the pieces of a string that stands on several lines put together."""
    return re.sub(r'"\n\s*f?"', "", file.read_text(encoding="utf-8"))

"""The tables of files in READMEs name every file of their folders, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.streets import PACKAGES, ROOT

HEADER = re.compile(r"^\| (?:file|module) \| does one thing \|$", re.MULTILINE)
READMES = [
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("README.md"))
    if HEADER.search(path.read_text(encoding="utf-8"))
]


def listed(readme: Path) -> set[str]:
    """What stands in the first column of the table: files, and folders with a slash."""
    text = readme.read_text(encoding="utf-8")
    found = HEADER.search(text)
    assert found is not None
    table = text[found.end() :].partition("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("|")]
    return {name for cell in first for name in re.findall(r"`([^`]+)`", cell)}


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_table_names_what_is_there(readme: Path) -> None:
    folder = readme.parent
    names = listed(readme)
    files = {
        str(path.relative_to(folder)) for path in folder.rglob("*.py") if path.name != "__init__.py"
    }
    # A folder's name stands for all that is in it, unless the table goes on to name its files.
    whole = {
        name
        for name in names
        if name.endswith("/") and not any(one.startswith(name) and one != name for one in names)
    }
    assert {name for name in names if not (folder / name).exists()} == set()
    assert {one for one in files if not one.startswith(tuple(whole))} <= names


def test_packages_with_a_page_of_their_own_are_held() -> None:
    held = {path.parent.relative_to(ROOT).as_posix() for path in READMES}
    assert held >= {"cluster", "cluster/drill", "cluster/router", "api/crud", "deploy"}


def test_the_ground_floor_lists_its_modules() -> None:
    text = (ROOT / "console" / "__init__.py").read_text(encoding="utf-8")
    found = {path.stem for path in (ROOT / "console").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"^(\w+)  ", text, re.MULTILINE)) == found

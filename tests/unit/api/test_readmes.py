"""The tables of files in the READMEs of the API name what is in their folders, and all of it."""

import re
from pathlib import Path

import api

ROOT = Path(api.__file__).parent


def modules(folder: str) -> set[str]:
    return {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}


def test_crud() -> None:
    table = (ROOT / "crud" / "README.md").read_text().partition("## What is where")[2]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)\.py`", row)} == modules("crud")


def test_serving() -> None:
    block = (ROOT / "serving" / "README.md").read_text().split("```")[1]
    assert set(re.findall(r"^(\w+) {2,}", block, re.MULTILINE)) == modules("serving")


def test_all_parts() -> None:
    block = (ROOT / "README.md").read_text().split("```")[1]
    parts = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
    parts |= {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {part for part in parts if not re.search(rf"\b{part}\b", block)} == set()

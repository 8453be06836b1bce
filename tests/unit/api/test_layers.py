"""The one-way streets inside the API. (`tests/unit/test_streets.py` has those between packages.)"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import api
from tests.helpers.streets import climbs, modules

# The parts of api, from the ground up. A part imports those of lower rows, and itself.
ORDER = (
    {"errors"},
    {"store", "web"},
    {"settings", "passwords"},
    {"crud"},
    {"resources"},
    {"auth", "schema"},
    {"analytics", "dashboard", "docs", "events", "monitor", "samples", "scaffold", "setup"},
    {"openapi"},
    {"app"},
    {"serving"},
    {"local"},
    {"__main__"},
)


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("api.")], ids=str)
def test_imports(module: str) -> None:
    assert climbs(module, ORDER) == set()


MEAN_THE_SAME = {"Tally"}  # what a request cost: web declares what it needs of the store's


def test_a_class_name_stands_once() -> None:
    names = [
        node.name
        for path in Path(api.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert {name for name in names if names.count(name) > 1} <= MEAN_THE_SAME

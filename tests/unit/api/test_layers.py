"""The one-way streets inside the API."""

import ast
from pathlib import Path

import pytest

import api

ROOT = Path(api.__file__).parent

# The parts of api, from the ground up. A part imports those of lower rows, and itself.
ORDER = (
    {"errors"},
    {"store", "web"},
    {"settings", "passwords"},
    {"crud"},
    {"resources"},
    {"auth", "schema", "samples"},
    {"docs", "scaffold", "setup"},
    {"openapi"},
    {"app"},
    {"serving"},
    {"local"},
    {"__main__"},
)
ROW = {part: row for row, parts in enumerate(ORDER) for part in parts}
OTHERS = {"cluster", "deploy"}  # packages that the API does not know


def imported(path: Path) -> set[str]:
    """The parts of api, and other packages, that a file imports, at any depth, for types too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("api.")}
        found |= {name.split(".")[0] for name in names} & OTHERS
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if part == "__init__":
        assert not imported(path)
        return
    row = ROW[part]
    assert {one for one in imported(path) if ROW.get(one, len(ORDER)) >= row} <= {part}

"""The one-way streets inside the API."""

import ast
from pathlib import Path

import pytest

import api

ROOT = Path(api.__file__).parent

# Who may import whom, of the packages inside api. Whoever is not named here may import all.
ALLOWED = {
    "errors": set(),
    "store": {"errors", "store"},
    "web": {"web"},
    "settings": {"errors", "store", "settings"},
    "crud": {"crud", "errors", "settings", "store", "web"},
}


def imported(path: Path) -> set[str]:
    """The parts of api a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("api.")}
        found |= {"cluster" for name in names if name.split(".")[0] == "cluster"}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports(path: Path) -> None:
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    seen = imported(path)
    assert "cluster" not in seen
    assert seen <= ALLOWED.get(part, seen)

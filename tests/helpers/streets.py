"""The modules of the product and what they import, at any depth and for types, too."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("console", "api", "cluster", "deploy", "imgs")


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the product by its name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports(path: Path) -> set[str]:
    """The names that a file imports; of `from a import b` both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: say from where, in full"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@functools.cache
def graph() -> dict[str, set[str]]:
    """Which modules of the product each module needs."""
    known = modules()
    return {name: _known(imports(path), known) - {name} for name, path in known.items()}


def _known(names: set[str], known: dict[str, Path]) -> set[str]:
    """Of `from a import b` it is the module a.b, or else a."""
    modules_ = {name for name in names if name in known}
    return {
        name
        for name in modules_
        if not any(other.startswith(f"{name}.") and other in modules_ for other in names)
        or known[name].name != "__init__.py"
    }


def climbs(module: str, order: tuple[set[str], ...], package: str = "") -> set[str]:
    """The parts of its package that a module imports and must not.

    The package is the outermost unless one is given. `order` has its parts from the ground up; one
    may import itself and those of lower rows.
    """
    start = f"{package or module.split('.', maxsplit=1)[0]}."
    part = module.removeprefix(start).split(".")[0]
    row = {one: n for n, parts in enumerate(order) for one in parts}
    seen = {n.removeprefix(start).split(".")[0] for n in graph()[module] if n.startswith(start)}
    return {one for one in seen - {part} if row[one] >= row[part]}

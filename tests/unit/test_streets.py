"""The one-way streets between the packages, and no circle between files anywhere."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import pytest

from tests.helpers.streets import ROOT, graph, imports, modules

# What a package may import of the project, beside itself. Each has one door, its __main__.
KNOWS = {
    "console": set(),
    "api": {"console"},
    "cluster": {"console"},
    "deploy": {"console", "cluster"},
    "imgs": {"console"},
}
OURS = {"console", "api", "cluster", "deploy", "imgs", "tests"}


@pytest.mark.parametrize("package", sorted(KNOWS))
def test_packages_know_only_those_below(package: str) -> None:
    seen = {
        name.partition(".")[0]
        for module, path in modules().items()
        if module.partition(".")[0] == package
        for name in imports(path)
    }
    assert seen & OURS <= {package, *KNOWS[package]}


def test_every_package_is_held() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= set(KNOWS)


def test_no_circle_between_files() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(f"these import one another: {' > '.join(error.args[1])}")

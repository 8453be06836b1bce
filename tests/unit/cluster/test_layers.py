"""The one-way streets inside the cluster."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.helpers.streets import climbs, graph, modules

# The parts of cluster, from the ground up. A part imports those of lower rows, and itself.
ORDER = (
    {"errors"},
    {"model"},
    {"servers", "router"},
    {"lifecycle"},
    {"hosted", "local"},
    {"deployment"},
    {"backup", "drill", "exporter"},
    {"__main__"},
)


@pytest.mark.parametrize(
    "module", [name for name in modules() if name.startswith("cluster.")], ids=str
)
def test_imports(module: str) -> None:
    assert climbs(module, ORDER) == set()


IN_A_DRILL = (
    {"history", "record"},
    {"load"},
    {"judge"},
    {"report"},
    {"targets"},
    {"running"},
    {"scenarios"},
    {"commands"},
)
"""The parts of drill, in the same way."""

BREAKING = {"targets", "running", "scenarios", "commands"}
"""Those that break a cluster, or show how it is being broken."""


@pytest.mark.parametrize(
    "module", [name for name in modules() if name.startswith("cluster.drill.")], ids=str
)
def test_imports_in_a_drill(module: str) -> None:
    assert climbs(module, IN_A_DRILL, "cluster.drill") == set()


def _needed(modules: Iterable[str]) -> set[str]:
    """The modules of cluster that these import."""
    return {name for one in modules for name in graph()[one] if name.startswith("cluster.")}


def _breaks(module: str) -> bool:
    return module.startswith("cluster.drill.") and module.split(".")[2] in BREAKING


def test_the_stand_in_router_stands_alone() -> None:
    """It is a program of its own: it needs of the cluster what it is given, and no more."""
    needed = _needed(name for name in graph() if name.startswith("cluster.router"))
    assert {name.split(".")[1] for name in needed} <= {"router", "model"}


def test_the_load_and_the_judge_of_a_drill_stand_alone() -> None:
    """They speak to a store or read a folder, and need not know how a cluster is broken."""
    reading = [n for n in graph() if n.startswith("cluster.drill") and not _breaks(n)]
    needed = _needed(reading)
    assert {name.split(".")[1] for name in needed} <= {"drill", "errors"}
    assert [name for name in needed if _breaks(name)] == []


def test_only_a_target_of_a_drill_knows_who_runs_the_servers() -> None:
    """And what chooses the target."""
    knowing = {
        name
        for name in graph()
        if name.startswith("cluster.drill")
        and any(one.startswith(("cluster.local", "cluster.hosted")) for one in graph()[name])
    }
    targets = modules()["cluster.drill.targets"].parent
    assert knowing <= {"cluster.drill.targets"} | {
        f"cluster.drill.targets.{file.stem}" for file in targets.glob("*.py")
    }

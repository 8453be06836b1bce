"""The one-way streets inside the cluster."""

from __future__ import annotations

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
    {"backup", "drill"},
    {"__main__"},
)


@pytest.mark.parametrize(
    "module", [name for name in modules() if name.startswith("cluster.")], ids=str
)
def test_imports(module: str) -> None:
    assert climbs(module, ORDER) == set()


def test_the_stand_in_router_and_the_drill_stand_alone() -> None:
    """Each is a program of its own: it needs of the cluster what it is given, and no more."""
    needed = {
        name.split(".")[1]
        for module, names in graph().items()
        if module.startswith(("cluster.router", "cluster.drill"))
        for name in names
        if name.startswith("cluster.")
    }
    assert needed <= {"router", "drill", "model", "errors"}

"""The one-way streets inside deploy."""

from __future__ import annotations

import pytest

from tests.helpers.streets import climbs, graph, modules

# The parts of deploy, from the ground up. A part imports those of lower rows, and itself.
ORDER = (
    {"errors"},
    {"stack", "access"},
    {"layouts", "resources", "client", "applied"},
    {"wanted", "losses"},
    {"account", "lock"},
    {"plan", "inventory"},
    {"apply", "show"},
    {"__main__"},
)


@pytest.mark.parametrize(
    "module", [name for name in modules() if name.startswith("deploy.")], ids=str
)
def test_imports(module: str) -> None:
    assert climbs(module, ORDER) == set()


def test_of_the_cluster_only_its_model_is_known() -> None:
    known = {
        name
        for module, names in graph().items()
        if module.startswith("deploy.")
        for name in names
        if name.startswith("cluster.")
    }
    assert known <= {"cluster.model.topology"}

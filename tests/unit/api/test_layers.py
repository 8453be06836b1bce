"""The one-way streets inside the API. (`tests/unit/test_streets.py` has those between packages.)"""

from __future__ import annotations

import pytest

from tests.helpers.streets import climbs, modules

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


@pytest.mark.parametrize("module", [name for name in modules() if name.startswith("api.")], ids=str)
def test_imports(module: str) -> None:
    assert climbs(module, ORDER) == set()

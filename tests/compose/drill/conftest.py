"""A stack for the drills, and the table of what each fault cost."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.compose.drill import faults
from tests.compose.drill.drill import HEADER, Drill
from tests.compose.drill.servers import Servers
from tests.compose.stack import fresh

TABLE = pytest.StashKey[list[str]]()


@pytest.fixture(scope="module")  # and down again before another stack comes up
def drill(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Drill]:
    """A stack that is up."""
    if os.geteuid() != 0 or faults.MISSING:
        pytest.skip("drills break containers from outside: they need root, nsenter and iptables")
    with fresh("shardstack-drill", ["tests/compose/drill/drill.yml"]) as stack:
        stack.up()
        ca = stack.ca(tmp_path_factory.mktemp("ca"))
        table = pytestconfig.stash.setdefault(TABLE, [])
        yield Drill(stack, Servers(stack), ca, table)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What each fault cost the consumers, as a table for a README."""
    if rows := config.stash.get(TABLE, []):
        terminalreporter.section("what each fault cost the API's consumers")
        terminalreporter.write_line("\n".join([HEADER, *rows]))

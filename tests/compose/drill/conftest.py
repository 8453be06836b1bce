"""A stack for the drills, and the table of what each fault cost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cluster.drill.targets.compose import ComposeTarget
from tests.compose.stack import Stack, fresh

HEADER = (
    "| fault | longest request | gap of the shard | gap of the others | errors | lost or doubled |"
    "\n|---|---|---|---|---|---|"
)
TABLE = pytest.StashKey[list[str]]()


@pytest.fixture(scope="package")  # and down again before another stack comes up
def stack() -> Iterator[Stack]:
    """A stack that is up."""
    with fresh("shardstack-drill", ["tests/compose/drill/drill.yml"]) as made:
        made.up()
        yield made


@pytest.fixture(scope="package")
def target(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> ComposeTarget:
    """What a drill breaks."""
    return ComposeTarget(str(tmp_path_factory.mktemp("state")), stack.project)


@pytest.fixture(scope="package")
def table(pytestconfig: pytest.Config) -> list[str]:
    """Its lines are told at the end."""
    return pytestconfig.stash.setdefault(TABLE, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """What each fault cost the consumers, as a table for a README."""
    if rows := config.stash.get(TABLE, []):
        terminalreporter.section("what each fault cost the API's consumers")
        terminalreporter.write_line("\n".join([HEADER, *rows]))

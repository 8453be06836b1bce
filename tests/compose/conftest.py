"""A stack of real containers for the tests that share one, and the machine's need of an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack that is up. Whoever breaks something waits until it has healed."""
    made = Stack("shardstack-test")
    made.down(volumes=True)  # of a run that was killed
    try:
        made.up()
        yield made
    finally:
        made.down(volumes=True)


@pytest.fixture(scope="session")
def ca(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the authority that signed the stack's certificate."""
    return stack.ca(tmp_path_factory.mktemp("ca"))

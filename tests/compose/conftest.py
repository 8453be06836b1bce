"""A stack of real containers for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import Stack, fresh
from tests.helpers.people import consuming

SECONDS = 900
"""For a test whose stack may have to start in its time, on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives these tests more time than others have."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack that is up. Whoever breaks something waits until it has healed."""
    with fresh("shardstack-test") as made:
        made.up()
        yield made


@pytest.fixture(scope="module")
def ca(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the authority that signed the stack's certificate."""
    return stack.ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def consumers(stack: Stack, ca: Path) -> Iterator[None]:
    """Consumers who create, read and change while the test runs, and see no error."""
    with consuming(stack, ca):
        yield

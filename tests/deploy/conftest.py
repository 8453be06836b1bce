"""An empty account, and somebody who has a stack.toml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.description import FILE, MISSING, Judge
from tests.helpers.digitalocean import DigitalOcean, fake_account
from tests.helpers.stacks import Operator


@pytest.fixture(scope="session")
def judge() -> Judge:
    """DigitalOcean's description of its API."""
    if not FILE.exists():
        pytest.skip(MISSING)
    return Judge()


@pytest.fixture
def fake(judge: Judge) -> Iterator[DigitalOcean]:
    """An account; every request must be as the API is described."""
    yield from fake_account(judge)


@pytest.fixture
def operator(fake: DigitalOcean, tmp_path: Path) -> Operator:
    """Somebody with a stack of three droplets."""
    return Operator(fake, tmp_path)

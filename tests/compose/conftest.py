"""A stack of real containers for the tests of a module."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.drill.http import ApiTarget
from cluster.drill.report import summarise
from cluster.drill.workload import Load, Workload
from tests.compose.people import PASSWORD, sign_up
from tests.compose.stack import Stack, fresh

CALM = 20
"""Acknowledged writes before something is done, and again afterwards."""


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
    people = [sign_up(stack, ca)["email"] for _ in range(4)]
    accounts = {secrets.token_hex(3): (email, PASSWORD) for email in people}
    target = ApiTarget(stack.url, accounts, ca)
    with (
        contextlib.closing(target),
        Workload(target, Load(clients=8, keys=8)) as workload,
    ):
        for group in accounts:
            workload.wait_for_writes(CALM, group, 30)
        yield
        for group in accounts:
            workload.wait_for_writes(CALM, group, 30)
        report = summarise(workload.finish())
    slowest = max(exchange.took for exchange in target.exchanges)
    print(f"\nlongest request {slowest:.1f} s\n{report.text()}")  # noqa: T201 - shown by -s
    assert report.errors == {}
    assert report.violations == []
    assert max(exchange.status for exchange in target.exchanges) < 500

"""SIGKILL after every single request: what is run again finishes the work, and makes no twin.

The request at which the process dies is carried out, and its answer is lost: that is the hardest
moment, since nobody has heard of what was made.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.digitalocean import DigitalOcean, Request, fake_account
from tests.helpers.stacks import Operator, apply_once, census, destroy_once, stack

pytestmark = pytest.mark.timeout(900)  # dozens of processes, one after the other

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.helpers.stacks"])
STACKS: dict[str, dict[str, Any]] = {
    "acme": {},
    "load_balancer": {"layout": "dev", "edge": "load_balancer"},
}


@pytest.fixture
def account() -> Iterator[DigitalOcean]:
    """Nobody judges the requests here: other tests send the same."""
    yield from fake_account(polls=4)


def run_and_kill(
    work: Callable[..., None], fake: DigitalOcean, base: Path, wants: dict[str, Any], at: int
) -> bool:
    """Runs it, and kills it as it has sent its request `at`. Whether it had sent so many."""
    process = FORKS.Process(target=work, args=(fake.token, fake.url, base, wants))
    count = 0

    def kill(_: int, __: Request, phase: str) -> None:
        nonlocal count
        count += phase == "after"
        if count == at and phase == "after" and process.pid:
            os.kill(process.pid, signal.SIGKILL)

    fake.on_request = kill
    process.start()
    process.join(60)
    fake.on_request = lambda *_: None
    assert process.exitcode == (-signal.SIGKILL if count >= at else 0)
    return count >= at


@pytest.mark.parametrize("edge", [pytest.param("acme", marks=pytest.mark.long), "load_balancer"])
def test_apply(account: DigitalOcean, tmp_path: Path, edge: str) -> None:
    wants = STACKS[edge]
    operator = Operator(account, tmp_path, stack(**wants))
    empty = account.dump()
    operator.apply()
    whole = kinds(census(account))
    at = 0
    while True:
        account.load(empty)
        at += 1
        if not run_and_kill(apply_once, account, tmp_path, wants, at):
            break
        operator.apply()
        assert kinds(census(account)) == whole, f"killed after request {at}"
        assert operator.plan().changes == [], f"killed after request {at}"
    assert at > 35


@pytest.mark.long
@pytest.mark.core
def test_destroy(account: DigitalOcean, tmp_path: Path) -> None:
    wants = STACKS["load_balancer"]
    operator = Operator(account, tmp_path, stack(**wants))
    operator.client.send("POST", "domains", {"name": "example.com"})
    empty = kinds(census(account))
    operator.apply()
    whole = account.dump()
    at = 0
    while True:
        account.load(whole)
        at += 1
        if not run_and_kill(destroy_once, account, tmp_path, wants, at):
            break
        operator.destroy(with_data=True)
        assert kinds(census(account)) == empty, f"killed after request {at}"
    assert at > 30


def kinds(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """A census without addresses, which are others each time."""
    records = [" ".join(one.split()[:2]) for one in found["records"]]
    return {**found, "records": sorted(records)}

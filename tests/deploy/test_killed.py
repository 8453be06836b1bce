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


@pytest.mark.long
@pytest.mark.parametrize("edge", ["acme", pytest.param("load_balancer", marks=[pytest.mark.core])])
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


ONE_OF_EACH = {"members": 1, "config_servers": 1, "routers": 1, "api_nodes": 1}
LARGE: dict[str, Any] = {"layout": "large", **ONE_OF_EACH, "shards": 1}


@pytest.mark.long
@pytest.mark.core
@pytest.mark.parametrize("change", ["a shard more", "a lost droplet"])
def test_apply_over_a_stack(account: DigitalOcean, tmp_path: Path, change: str) -> None:
    """What is there already, and what is remembered of it, stays as it was."""
    operator = Operator(account, tmp_path, stack(**LARGE))
    operator.apply()
    wants = LARGE
    if change == "a shard more":
        wants = {**LARGE, "shards": 2}
    else:
        account.destroy_droplet("shop-shard-1-1")
    before = account.dump()
    operator.wants(**wants).apply()
    whole, kept = kinds(census(account)), identities(before) & identities(account.dump())
    assert len(whole["droplets"]) == 4 + wants["shards"]
    at = 0
    while True:
        account.load(before)
        at += 1
        if not run_and_kill(apply_once, account, tmp_path, wants, at):
            break
        operator.apply()
        assert kinds(census(account)) == whole, f"killed after request {at}"
        assert kept <= identities(account.dump()), f"killed after request {at}"
        assert operator.plan().changes == [], f"killed after request {at}"
    assert at > 25


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


def identities(dump: dict[str, Any]) -> set[tuple[str, str]]:
    """The ids of all there is, but for the lock, which is another each time."""
    lists = {kind: each for kind, each in dump["lists"].items() if kind != "ssh_keys"}
    return {
        (kind, str(one["id"]))
        for kind, each in (*lists.items(), *dump["records"].items())
        for one in each
        if "id" in one
    }


def kinds(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """A census without addresses, which are others each time."""
    records = [" ".join(one.split()[:2]) for one in found["records"]]
    return {**found, "records": sorted(records)}

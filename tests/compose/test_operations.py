"""Everyday operations on a stack that serves: each while consumers write through Caddy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import MEMBERS, ROUTERS, Stack, docker, fresh, until
from tests.helpers.people import sign_up, signs_in


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of its own, with room for many log-ins from one address."""
    with fresh("shardstack-operations", ["tests/compose/drill/drill.yml"]) as made:
        made.up()
        yield made


def starts(stack: Stack) -> dict[str, str]:
    """When each server was started."""
    return {n: stack.inspect(n)["State"]["StartedAt"] for n in (*MEMBERS, *ROUTERS)}


@pytest.mark.usefixtures("consumers")
def test_a_shard_is_added_and_removed(stack: Stack) -> None:
    new = ["shard-4-1", "shard-4-2", "shard-4-3"]
    before = starts(stack)
    stack.change(SHARDSTACK_SHARDS="4")
    assert starts(stack) == before
    stack.wait_healthy(new)
    assert [s["name"] for s in stack.status()["shards"]][-1] == "shard-4"

    stack.change(SHARDSTACK_SHARDS="3")  # its members run on, and it stays in
    assert [s["name"] for s in stack.status()["shards"]][-1] == "shard-4"

    assert "shard-4 is removed" in stack.ops("remove-shard", "shard-4")
    stack.run("--profile", "shard-4", "rm", "--stop", "--force", "--volumes", *new)
    assert [s["name"] for s in stack.status()["shards"]] == ["shard-1", "shard-2", "shard-3"]


def test_a_shard_of_the_topology_is_not_removed(stack: Stack) -> None:
    done = stack.attempt("run", "--rm", "--no-deps", "-T", "ops", "remove-shard", "shard-3")
    assert done.returncode == 1
    assert "SHARDSTACK_SHARDS is 3. Set it to a smaller number" in done.stderr


def test_a_shard_that_nobody_runs_is_not_added(stack: Stack) -> None:
    done = stack.attempt("run", "--rm", "--no-deps", "-T", "ops", "add-shard", "shard-7")
    assert done.returncode == 1
    assert "shard-7-1 is not the name of a host or container here" in done.stderr


@pytest.mark.usefixtures("consumers")
def test_the_key_is_changed_by_restarting_everything_twice(stack: Stack) -> None:
    old, before = stack.secret("key/keyFile"), starts(stack)
    stack.ops("rotate-key", timeout=680)
    after = starts(stack)
    assert [name for name in before if before[name] == after[name]] == []
    assert old.strip() not in stack.secret("key/keyFile")
    stack.wait_healthy()
    assert stack.status()["healthy"]


def test_a_backup_is_restored_into_an_empty_cluster(stack: Stack, ca: Path, tmp_path: Path) -> None:
    person = sign_up(stack, ca)
    dumped = json.loads(stack.ops("dump", "/backup/monday", "--json"))
    assert dumped["documents"] > 0
    # Everything but the backup is given up.
    stack.down()
    keep = f"{stack.project}_backup"
    there = docker("volume", "ls", "--quiet", "--filter", f"name={stack.project}_").split()
    docker("volume", "rm", *(v for v in there if v != keep))
    stack.run("up", "--detach", "--wait", "router-1", "router-2", "bootstrap")
    said = stack.ops("restore", "/backup/monday")
    assert "differ" not in said
    stack.up()
    until(lambda: bool(stack.status()["healthy"]), 30, stack.tails)
    assert signs_in(stack, stack.ca(tmp_path), person)

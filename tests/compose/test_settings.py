"""Settings that cannot work are told in one line, at once, and nothing is started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.stack import Stack, docker, fresh

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack that is never brought up."""
    with fresh("shardstack-settings") as made:
        yield made


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"SHARDSTACK_OPLOG_MB": "much"}, "SHARDSTACK_OPLOG_MB is 'much', which is no number"),
        (
            {"SHARDSTACK_CACHE_GB": "0.1"},
            'SHARDSTACK_CACHE_GB is 0.1. Give "auto", or GiB from 0.25',
        ),
        (
            {"SHARDSTACK_CACHE_GB": "900", "SHARDSTACK_MEMBER_MEMORY": "901g"},
            "12 mongods with a cache of 900.0 GiB may grow to",
        ),
        ({"SHARDSTACK_MEMBER_MEMORY": "300m"}, "too little for a mongod whose cache is 0.25 GiB"),
        ({"SHARDSTACK_ELECTION_TIMEOUT_MS": "5"}, "SHARDSTACK_ELECTION_TIMEOUT_MS is 5. Give"),
        (
            {"SHARDSTACK_DATABASE": "config"},
            "SHARDSTACK_DATABASE is 'config'. Give a name of letters",
        ),
        ({"SHARDSTACK_ACME_EMAIL": "a@example.org"}, "SHARDSTACK_DOMAIN does not say for which"),
    ],
)
def test_one_line(stack: Stack, settings: dict[str, str], told: str) -> None:
    done = stack.attempt("run", "--rm", "-T", "prepare", timeout=60, **settings)
    [line] = [line for line in done.stderr.splitlines() if "error:" in line]
    assert told in line
    assert done.returncode == 2
    assert done.stdout == ""


def test_up_fails_at_once_and_starts_nothing(stack: Stack) -> None:
    done = stack.attempt("up", "--detach", "--wait", timeout=60, SHARDSTACK_OPLOG_MB="much")
    assert done.returncode == 1
    assert 'service "prepare" didn\'t complete successfully' in done.stderr
    running = docker("ps", "--quiet", "--filter", f"name={stack.project}-")
    assert running == ""
    assert "SHARDSTACK_OPLOG_MB is 'much'" in stack.run("logs", "prepare")


@pytest.mark.parametrize("number", ["1", "2", "3", "4"])
def test_one_setting_says_which_shards_there_are(stack: Stack, number: str) -> None:
    services = stack.run("config", "--services", SHARDSTACK_SHARDS=number).split()
    shards = {name.rpartition("-")[0] for name in services if name.startswith("shard-")}
    assert shards == {f"shard-{n}" for n in range(1, int(number) + 1)}
    if number < "3":  # where a stack with all shards ran, the rest is not taken for left-overs
        assert "shard-3-1" in stack.run("--profile", "*", "config", "--services")


@pytest.mark.parametrize("number", ["0", "5", "many"])
def test_a_number_of_shards_that_nobody_described(stack: Stack, number: str) -> None:
    done = stack.attempt("up", "--detach", "--wait", SHARDSTACK_SHARDS=number)
    assert done.returncode != 0
    assert f"if-SHARDSTACK_SHARDS-is-{number}" in done.stderr
    assert "not found in deploy/compose/shards.yml" in done.stderr
    assert docker("ps", "--quiet", "--filter", f"name={stack.project}-") == ""

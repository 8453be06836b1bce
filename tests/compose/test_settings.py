"""Settings that cannot work are told in one line, at once, and nothing is started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.stack import Stack, docker, fresh


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack that is never brought up."""
    with fresh("shardstack-settings") as made:
        yield made


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"SHARDSTACK_SHARDS": "many"}, "SHARDSTACK_SHARDS is 'many', which is no number"),
        ({"SHARDSTACK_SHARDS": "0"}, "SHARDSTACK_SHARDS is 0. Give a whole number from 1 to 32"),
        ({"SHARDSTACK_CACHE_GB": "0.1"}, "SHARDSTACK_CACHE_GB is 0.1. Give GiB from 0.25"),
        (
            {"SHARDSTACK_CACHE_GB": "900", "SHARDSTACK_MEMBER_MEMORY": "901g"},
            "12 mongods with a cache of 900.0 GiB may grow to",
        ),
        ({"SHARDSTACK_MEMBER_MEMORY": "300m"}, "too little for a mongod whose cache is 0.25 GiB"),
        ({"SHARDSTACK_ELECTION_TIMEOUT_MS": "5"}, "SHARDSTACK_ELECTION_TIMEOUT_MS is 5. Give"),
        ({"SHARDSTACK_DATABASE": "config"}, "SHARDSTACK_DATABASE is 'config'. That database is"),
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
    done = stack.attempt("up", "--detach", "--wait", timeout=60, SHARDSTACK_SHARDS="many")
    assert done.returncode == 1
    assert 'service "prepare" didn\'t complete successfully' in done.stderr
    running = docker("ps", "--quiet", "--filter", f"name={stack.project}-")
    assert running == ""
    assert "SHARDSTACK_SHARDS is 'many'" in stack.run("logs", "prepare")

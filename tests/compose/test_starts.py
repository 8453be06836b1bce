"""The stack in any order, after interruptions, and after everything was killed at once."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compose.stack import APIS, MEMBERS, ROUTERS, SERVERS, Stack, docker, fresh, until
from tests.helpers.people import sign_up, signs_in


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack that has never been up."""
    with fresh("shardstack-starts") as made:
        yield made


def runs(stack: Stack, service: str) -> bool:
    """Whether a service's container runs at this moment."""
    name = f"name=^{stack.container(service)}$"
    return docker("ps", "--quiet", "--filter", name, "--filter", "status=running") != ""


def ended(stack: Stack, service: str) -> bool:
    """Whether a one-shot's container has done its work."""
    name = f"name=^{stack.container(service)}$"
    return docker("ps", "--all", "--quiet", "--filter", name, "--filter", "exited=0") != ""


MOMENTS: dict[str, Callable[[Stack], bool]] = {
    "the first members run": lambda stack: runs(stack, "config-2"),
    "the bootstrap runs": lambda stack: runs(stack, "bootstrap"),
    "the setup runs": lambda stack: runs(stack, "setup"),
}


def test_up_is_interrupted_again_and_again(stack: Stack, tmp_path: Path) -> None:
    for moment, is_now in MOMENTS.items():
        for interruption in (signal.SIGINT, signal.SIGKILL):
            up = stack.start("up", "--detach", "--wait")
            try:
                until(
                    lambda: is_now(stack) or up.poll() is not None,  # noqa: B023 - asked at once
                    60,
                    lambda: f"never seen: {moment}\n{stack.tails()}",  # noqa: B023
                )
                up.send_signal(interruption)
                up.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                up.kill()
                raise
    stack.up()
    person = sign_up(stack, stack.ca(tmp_path))
    assert signs_in(stack, stack.ca(tmp_path), person)


def test_every_order_and_everybody_killed(stack: Stack, tmp_path: Path) -> None:
    """The last first: each waits for what it needs, and none gives up."""
    for service in ("caddy", "api-1", "router-1", "shard-2-3", "config-2"):
        stack.run("up", "--detach", "--no-deps", service)
    stack.up()
    ca = stack.ca(tmp_path)
    person = sign_up(stack, ca)

    pids = [stack.pid(name) for name in (*MEMBERS, *ROUTERS, *APIS, "caddy")]
    docker("kill", *(stack.container(name) for name in SERVERS))
    assert all(stack.pid(name) not in pids for name in SERVERS)
    took = stack.up()
    print(f"up --wait after everything was killed: {took:.1f} s")  # noqa: T201 - shown by -s
    assert signs_in(stack, ca, person)

    stack.down()
    stack.up()
    assert signs_in(stack, ca, person)


def test_a_member_outside_of_any_set_is_not_healthy(stack: Stack) -> None:
    """Listening is not health: without the bootstrap, a mongod is neither of its two roles."""
    stack.run("up", "--detach", "shard-1-1")
    until(
        lambda: "Waiting for connections" in stack.run("logs", "shard-1-1"),
        60,
        stack.tails,
    )
    check = ("exec", "-T", "shard-1-1", "bash", "/etc/shardstack/member-health")
    assert stack.attempt(*check).returncode == 1
    assert stack.health("shard-1-1") == "starting"

"""What may happen to a container. Each is a context: it holds while the block runs, then is undone.

Each proves that it happened, since a fault that did not makes every drill green.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

from tests.compose.stack import ComposeError, Stack, docker, until

RESTART = 30.0
"""Seconds that the engine may take to start a crashed container anew."""
PAUSE = 20.0
"""Seconds that the engine may take to make a container stand still."""
MISSING = [tool for tool in ("nsenter", "iptables") if shutil.which(tool) is None]

Fault = Callable[[Stack, str], AbstractContextManager[None]]


@contextmanager
def crash(stack: Stack, service: str) -> Iterator[None]:
    """SIGKILL for the main process. Its restart policy brings the container back.

    It is sent by the process id on this machine: to Docker, `docker kill` is a wish that the
    container be down, and it stays down.
    """
    pid, restarts = stack.pid(service), stack.inspect(service)["RestartCount"]
    assert pid, f"{service} is down already"
    os.kill(pid, signal.SIGKILL)
    yield

    def is_back() -> bool:
        found = stack.inspect(service)
        return bool(found["State"]["Running"] and found["RestartCount"] > restarts)

    until(is_back, RESTART, lambda: f"{service} was not started anew: {stack.inspect(service)}")


@contextmanager
def standstill(stack: Stack, service: str) -> Iterator[None]:
    """All its processes stand still; the kernel keeps its connections, and accepts new ones."""

    def stands_still() -> bool:
        # The kernel cannot freeze a container in which a health check is just being started.
        with suppress(ComposeError):
            docker("pause", stack.container(service))
        return bool(stack.inspect(service)["State"]["Paused"])

    until(stands_still, PAUSE, lambda: f"{service} does not stand still")
    try:
        yield
    finally:
        docker("unpause", stack.container(service))


@contextmanager
def silence(stack: Stack, service: str) -> Iterator[None]:
    """No packet reaches it or leaves it, and nobody is told; what it says to itself arrives."""
    pid = stack.pid(service)
    chains = [("INPUT", "--in-interface"), ("OUTPUT", "--out-interface")]
    with ExitStack() as undo:
        for chain, side in chains:
            rule = [chain, "!", side, "lo", "--jump", "DROP"]
            _iptables(pid, "--insert", *rule)
            undo.callback(_iptables, pid, "--delete", *rule)
        yield
        for chain, _ in chains:
            assert _dropped(pid, chain), f"{service}: nothing wanted to pass {chain}"


@contextmanager
def disconnection(stack: Stack, service: str) -> Iterator[None]:
    """Off all its networks, then on again: its addresses vanish, and may be others afterwards."""
    container = stack.container(service)
    with ExitStack() as undo:
        for network, end in stack.inspect(service)["NetworkSettings"]["Networks"].items():
            aliases = [part for alias in end["Aliases"] for part in ("--alias", alias)]
            docker("network", "disconnect", network, container)
            undo.callback(docker, "network", "connect", *aliases, network, container)
        assert not stack.inspect(service)["NetworkSettings"]["Networks"]
        yield


def _iptables(pid: int, *arguments: str) -> str:
    """iptables as the processes of a container see it."""
    command = ["nsenter", "--target", str(pid), "--net", "iptables", "--wait", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


def _dropped(pid: int, chain: str) -> int:
    """Packets that met the first rule of the chain."""
    listed = _iptables(pid, "--list", chain, "1", "--verbose", "--numeric", "--exact")
    return int(listed.split()[0])

"""What may happen to a container and is no fault of the product's drills: the engine takes it back.

Each proves that it happened, since a fault that did not makes every drill green.
"""

from __future__ import annotations

import os
import signal

from cluster.drill.running.faults import Once
from cluster.drill.running.scenario import Stage
from tests.compose.stack import Stack, docker, until

RESTART = 30.0
"""Seconds that the engine may take to start a crashed container anew."""


class Crash(Once):
    """SIGKILL for the main process. Its restart policy brings the container back.

    It is sent by the process id on this machine: to Docker, `docker kill` is a wish that the
    container be down, and it stays down.
    """

    def __init__(self, stage: Stage, stack: Stack, service: str, who: str) -> None:
        super().__init__(stage, f"{service}, {who}, crashes", f"{service}: started by Docker")
        self._stack, self._service = stack, service
        self._pid = stack.pid(service)
        self._restarts = stack.inspect(service)["RestartCount"]

    def strike(self) -> None:
        """Kill the process."""
        os.kill(self._pid, signal.SIGKILL)

    def evidence(self) -> str:
        """The engine knows of another process, or of none."""
        return f"{self._service}: gone" if self._stack.pid(self._service) != self._pid else ""

    def undo(self) -> None:
        """Wait until the engine has started it."""
        service = self._service

        def is_back() -> bool:
            found = self._stack.inspect(service)
            return bool(found["State"]["Running"] and found["RestartCount"] > self._restarts)

        until(is_back, RESTART, lambda: f"{service} is not back: {self._stack.inspect(service)}")


class Disconnection(Once):
    """Off all its networks, then on again: its addresses vanish, and may be others afterwards."""

    def __init__(self, stage: Stage, stack: Stack, service: str, who: str) -> None:
        super().__init__(stage, f"{service}, {who}, is disconnected", f"{service}: connected")
        self._stack, self._service = stack, service
        self._container = stack.container(service)
        self._networks = self._now()

    def strike(self) -> None:
        """Disconnect it."""
        for network in self._networks:
            docker("network", "disconnect", network, self._container)

    def evidence(self) -> str:
        """It has no network."""
        return "" if self._now() else f"{self._service}: in no network"

    def undo(self) -> None:
        """Connect it as it was, by the same names."""
        for network, aliases in self._networks.items():
            names = [part for alias in aliases for part in ("--alias", alias)]
            docker("network", "connect", *names, network, self._container)

    def _now(self) -> dict[str, list[str]]:
        networks = self._stack.inspect(self._service)["NetworkSettings"]["Networks"]
        return {network: end["Aliases"] for network, end in networks.items()}

"""Looks at, holds up or ends the process at exact database commands, from outside the product.

PyMongo tells a registered listener of each command, in the thread that sends it: before it is
sent, and after its answer has come.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import monitoring

WRITES = ("insert", "update", "delete", "findAndModify")

Hook = Callable[[str, str, dict[str, Any]], None]  # command, collection, the whole command


HANDSHAKE = {"saslStart", "saslContinue"}
"""What a new connection says first: whether one is opened depends on the pool, not on a test."""


class Seam(monitoring.CommandListener):
    """Calls the hooks of the current thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Before a command is sent."""
        name = event.command_name
        self._local.collection = str(event.command.get(name, ""))
        self._local.command = dict(event.command)
        hook: Hook | None = getattr(self._local, "before", None)
        if hook is not None and name not in HANDSHAKE:
            hook(name, self._local.collection, self._local.command)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """After its answer has come."""
        hook: Hook | None = getattr(self._local, "after", None)
        if hook is not None and event.command_name not in HANDSHAKE:
            hook(event.command_name, self._local.collection, self._local.command)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """After it failed."""

    @contextmanager
    def hooked(self, before: Hook | None = None, after: Hook | None = None) -> Iterator[None]:
        """Call these hooks for this thread's commands."""
        self._local.before, self._local.after = before, after
        try:
            yield
        finally:
            self._local.before = self._local.after = None


SEAM = Seam()


def install() -> None:
    """For all clients made from now on in this process."""
    monitoring.register(SEAM)

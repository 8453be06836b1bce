"""The API's server, with workers that die by SIGKILL in the middle of a request that asks for it.

`X-Crash-After: n` ends the worker once the database has acknowledged n writes of that request; 0
ends it before the first. Everything else is `python -m api`.
"""

import os
import signal

from flask import g, has_request_context, request
from pymongo import monitoring

from api.__main__ import main
from console.terminal import run

WRITES = frozenset({"insert", "update", "delete", "findAndModify"})


class Killer(monitoring.CommandListener):
    """PyMongo tells it of each command, in the thread that sends it."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Before a command is sent."""
        if event.command_name in WRITES:
            self._die_if_due(0)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """After its answer has come."""
        if event.command_name in WRITES:
            self._die_if_due(1)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """After it failed."""

    def _die_if_due(self, more: int) -> None:
        if not has_request_context() or "X-Crash-After" not in request.headers:
            return
        g.writes_seen = g.get("writes_seen", 0) + more
        if g.writes_seen >= int(request.headers["X-Crash-After"]):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    monitoring.register(Killer())
    run(main, "python -m api")

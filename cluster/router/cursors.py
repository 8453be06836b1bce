"""Cursors that clients hold: the router's own ids, and the member's cursor that each stands for."""

import secrets
import time
from dataclasses import dataclass, field

from cluster.router.errors import CommandError

IDLE_SECONDS = 600.0  # as mongod: cursorTimeoutMillis


@dataclass(slots=True)
class Cursor:
    """An open cursor on one member."""

    host: str
    id: int
    namespace: str
    more: str
    """The command that continues it: ``getMore``; ``clusterGetMore`` for one over many shards."""
    owner: str
    """The user who opened it; nobody else may read on."""
    used: float = field(default_factory=time.monotonic)


class Cursors:
    """The table of open cursors."""

    def __init__(self) -> None:
        self._open: dict[int, Cursor] = {}
        self._swept = time.monotonic()

    def __len__(self) -> int:
        return len(self._open)

    def register(self, cursor: Cursor) -> int:
        """Take a cursor in; return the id that the client gets."""
        self._sweep()
        while True:
            own = secrets.randbits(62) + 1
            if own not in self._open:
                self._open[own] = cursor
                return own

    def get(self, own: object, namespace: str, user: str) -> Cursor:
        """Return a client's cursor.

        Raises:
            CommandError: 43, there is none; 13, it is somebody else's or of another collection.
        """
        cursor = self._open.get(own) if isinstance(own, int) else None
        if cursor is None:
            raise CommandError(43, f"cursor id {own} not found")
        if cursor.owner != user or cursor.namespace != namespace:
            raise CommandError(13, f"cursor id {own} was not opened on {namespace} by this user")
        cursor.used = time.monotonic()
        return cursor

    def forget(self, own: int) -> None:
        self._open.pop(own, None)

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept < 60:
            return
        self._swept = now
        for own in [key for key, cursor in self._open.items() if now - cursor.used > IDLE_SECONDS]:
            del self._open[own]

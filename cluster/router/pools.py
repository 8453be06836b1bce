"""Idle and busy connections to members, by host.

Closing a host's connections is how a call to a dead or deposed primary ends at once instead of
hanging: also one that has only begun to connect.
"""

import asyncio
from collections import deque

from cluster.router import scram, wire
from cluster.router.errors import HostError
from cluster.router.upstream import Connection, Connector, Document


class Pools:
    """Every connection that carries calls."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self._idle: dict[str, deque[Connection]] = {}
        self._busy: dict[str, set[Connection]] = {}
        self._opening: dict[str, dict[asyncio.Task[Connection], str]] = {}

    async def call_raw(self, host: str, command: Document) -> bytes:
        """Send a command to a host over a pooled connection; return the whole reply message.

        Raises:
            HostError: as `Connection.call_raw`.
        """
        connection = self._idle_one(host) or await self._open(host)
        busy = self._busy.setdefault(host, set())
        busy.add(connection)
        try:
            return await connection.call_raw(command)
        finally:
            busy.discard(connection)
            if not connection.closed:
                self._idle.setdefault(host, deque()).append(connection)

    async def call(self, host: str, command: Document) -> Document:
        """As `call_raw`, with the reply decoded one level deep."""
        return wire.parse_reply(await self.call_raw(host, command))

    def _idle_one(self, host: str) -> Connection | None:
        idle = self._idle.get(host)
        while idle:
            connection = idle.pop()  # the most recently used: it is the least likely to be dead
            if not connection.closed:
                return connection
        return None

    async def _open(self, host: str) -> Connection:
        task = asyncio.create_task(self.connector.open(host, log_in=True))
        opening = self._opening.setdefault(host, {})
        opening[task] = ""
        try:
            await asyncio.wait({task})
            if task.cancelled():
                raise HostError(f"{host}: {opening[task]}", sent=False)
            return task.result()
        except scram.KeyRefusedError as error:
            raise HostError(str(error), sent=False) from None
        finally:
            task.cancel()
            del opening[task]

    def abort(self, host: str, why: str) -> None:
        """Close every connection to a host; calls in flight fail with `HostError`."""
        for connection in (*self._idle.pop(host, ()), *self._busy.get(host, ())):
            connection.abort(why)
        opening = self._opening.get(host, {})
        for task in opening:
            opening[task] = why
            task.cancel()

    def close(self) -> None:
        """Close everything."""
        for host in {*self._idle, *self._busy, *self._opening}:
            self.abort(host, "the router stops")

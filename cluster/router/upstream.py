"""Connections from the router to members: logged in with the key file, pooled by host.

A connection carries one command at a time, as mongod executes them one at a time. Closing a host's
connections is how a call to a dead or deposed primary ends at once instead of hanging.
"""

import asyncio
import itertools
from collections import deque
from pathlib import Path
from typing import Any, cast

from cluster.router import scram, wire
from cluster.router.errors import HostError

CONNECT_SECONDS = 5.0
_ids = itertools.count(1)
Document = dict[str, Any]


def read_keys(path: Path) -> list[str]:
    """Read a key file: one key, or several as a YAML list while keys are being changed.

    White space inside a key does not count.
    Source: https://www.mongodb.com/docs/manual/core/security-internal-authentication/

    Raises:
        ValueError: there is no usable key in it.
        OSError: it cannot be read.
    """
    lines = path.read_text().splitlines()
    items = [line.lstrip().removeprefix("- ") for line in lines if line.lstrip().startswith("- ")]
    keys = ["".join(item.strip("\"' ").split()) for item in items] or [
        "".join("".join(lines).split())
    ]
    if not all(6 <= len(key) <= 1024 for key in keys):
        raise ValueError(f"key file {path}: a key must have 6 to 1024 characters")
    return keys


class Connection(asyncio.Protocol):
    """One connection to a member; `call` sends a command and returns the reply."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._reply: asyncio.Future[bytes] | None = None
        self._why = "connection closed"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            length = wire.message_length(self._buffer)
        except wire.MalformedMessageError:
            self.abort("it sent something that is not a message")
            return
        if length is None or len(self._buffer) < length:
            return
        message = bytes(self._buffer)
        self._buffer.clear()
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(message)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed = True
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(HostError(f"{self.host}: {self._why}", sent=True))

    def abort(self, why: str) -> None:
        """Drop the connection; a call in flight fails with `HostError`."""
        self._why = why
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    async def call_raw(self, command: Document) -> bytes:
        """Send a command; return the whole reply message.

        Raises:
            HostError: the connection broke before or after the command went out.
        """
        if self.closed or self._transport is None:
            raise HostError(f"{self.host}: {self._why}", sent=False)
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(wire.encode_request(next(_ids), command))
        try:
            return await self._reply
        except asyncio.CancelledError:
            self.abort("the caller gave up")  # an unread reply would answer the next command
            raise
        finally:
            self._reply = None

    async def call(self, command: Document) -> Document:
        """Send a command; return the reply, decoded one level deep."""
        return wire.parse_reply(await self.call_raw(command))


async def connect(host: str, keys: list[str] | None) -> Connection:
    """Open a connection to ``name:port``, logged in when keys are given.

    Raises:
        HostError: nobody answers there in time.
        scram.KeyRefusedError: it answers, and refuses every key.
    """
    name, _, port = host.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(
                lambda: Connection(host), name.strip("[]"), int(port)
            )
            if keys:
                await _log_in(connection, keys)
    except HostError as error:
        raise HostError(error.message, sent=False) from None
    except (OSError, TimeoutError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
        raise HostError(f"{host}: {reason or error}", sent=False) from None
    return connection


async def _log_in(connection: Connection, keys: list[str]) -> None:
    refused: scram.KeyRefusedError | None = None
    for key in keys:
        try:
            await scram.log_in(connection.call, key)
        except scram.KeyRefusedError as error:
            refused = error
        else:
            return
    connection.abort("log-in refused")
    raise scram.KeyRefusedError(f"{connection.host} refuses this key file: {refused}")


class Pools:
    """Idle and busy connections to every host, by host."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys
        self._idle: dict[str, deque[Connection]] = {}
        self._busy: dict[str, set[Connection]] = {}

    async def call_raw(self, host: str, command: Document) -> bytes:
        """Send a command to a host over a pooled connection; return the whole reply message.

        Raises:
            HostError: as `Connection.call_raw`.
        """
        connection = await self._take(host)
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

    async def _take(self, host: str) -> Connection:
        idle = self._idle.get(host)
        while idle:
            connection = idle.pop()  # the most recently used: it is the least likely to be dead
            if not connection.closed:
                return connection
        try:
            return await connect(host, self._keys)
        except scram.KeyRefusedError as error:
            raise HostError(str(error), sent=False) from None

    def abort(self, host: str, why: str) -> None:
        """Close every connection to a host; calls in flight fail with `HostError`."""
        for connection in (*self._idle.pop(host, ()), *self._busy.get(host, ())):
            connection.abort(why)

    def close(self) -> None:
        """Close everything."""
        for host in {*self._idle, *self._busy}:
            self.abort(host, "the router stops")

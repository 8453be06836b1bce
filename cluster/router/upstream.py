"""Connections from the router to members: found, encrypted, logged in with the key file.

A connection carries one command at a time, as mongod executes them one at a time.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Sequence
from typing import Any, cast

from cluster.router import scram, wire
from cluster.router.errors import HostError
from cluster.router.names import Names
from cluster.router.tls import PLAIN, Tls

CONNECT_SECONDS = 1.5  # to an address that swallows packets; the system sends a second try after 1
WELCOME_SECONDS = 5.0  # handshake and log-in: a member that starts or is busy takes its time
SILENCE_SECONDS = 5  # after which the system begins to ask whether the other side is still there
_ids = itertools.count(1)
Document = dict[str, Any]


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


class Connector:
    """Opens connections to members."""

    def __init__(self, keys: Sequence[str], tls: Tls = PLAIN) -> None:
        """``keys`` are those of the key file, the one to log in with first."""
        self._keys = list(keys)
        self._tls = tls
        self._names = Names()

    async def open(self, host: str, *, log_in: bool = False) -> Connection:
        """Open a connection to ``name:port``, logged in as the cluster itself if asked to.

        Raises:
            HostError: nobody answers there in time, or not as a member of this cluster must.
            scram.KeyRefusedError: it answers, and refuses every key.
        """
        name, _, port = host.rpartition(":")
        name = name.strip("[]")
        connection = Connection(host)
        opened = False
        try:
            sock = await self._reach(name, int(port))
            async with asyncio.timeout(WELCOME_SECONDS):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=self._tls.client,
                    server_hostname=name if self._tls.client else None,
                )
                if log_in:
                    await self._log_in(connection)
            opened = True
        except (HostError, OSError, TimeoutError) as error:
            raise _host_error(host, error) from None
        finally:
            if not opened:
                connection.abort("it could not be opened")
        return connection

    async def _reach(self, name: str, port: int) -> socket.socket:
        async with asyncio.timeout(WELCOME_SECONDS):
            addresses = await self._names.addresses(name)
        failure: Exception = OSError(f"{name} has no address")
        for family, address in addresses:
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                _watch(sock)
                async with asyncio.timeout(CONNECT_SECONDS):
                    await asyncio.get_running_loop().sock_connect(sock, (address, port))
            except (OSError, TimeoutError) as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure

    async def _log_in(self, connection: Connection) -> None:
        refused: scram.KeyRefusedError | None = None
        for key in list(self._keys):
            try:
                await scram.log_in(connection.call, key)
            except scram.KeyRefusedError as error:
                refused = error
            else:
                if key != self._keys[0]:  # while keys are changed: others will accept it, too
                    self._keys.sort(key=lambda known: known != key)
                return
        raise scram.KeyRefusedError(f"{connection.host} refuses this key file: {refused}")


def _host_error(host: str, error: HostError | OSError) -> HostError:
    if isinstance(error, HostError):
        return HostError(error.message, sent=False)
    if isinstance(error, TimeoutError):  # which is an OSError
        return HostError(f"{host}: no answer in time", sent=False)
    return HostError(f"{host}: {error.strerror or error}", sent=False)


def _watch(sock: socket.socket) -> None:
    """Have the system end a connection whose other side is gone without a word."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


_WANTED = {
    "TCP_KEEPIDLE": SILENCE_SECONDS,
    "TCP_KEEPINTVL": 1,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": (SILENCE_SECONDS + 3) * 1000,  # ms, for what was sent and not confirmed
}
_KEEP_ALIVE = {name: value for name, value in _WANTED.items() if hasattr(socket, name)}

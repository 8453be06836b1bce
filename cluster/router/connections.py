"""Connections from the router to members: names looked up, encrypted, logged in, and kept.

A connection carries one command at a time, as mongod executes them one at a time. It logs in with
the key file.

Names: a container gets a new address when it restarts, so nothing is remembered longer than one
look. A name server may take many seconds to say that it does not know a name, and a look cannot be
called off. So any number of callers share one look for a name, and a slow one holds up no other.

Pools: closing a host's connections ends the calls to a dead or deposed primary immediately instead
of letting them hang, also on a connection that has only begun to connect.
"""

import asyncio
import contextlib
import itertools
import socket
import threading
from collections import deque
from collections.abc import Sequence
from typing import cast

from cluster.router import scram, wire
from cluster.router.errors import HostError
from cluster.router.tls import PLAIN, Tls
from cluster.router.wire import Document

Address = tuple[socket.AddressFamily, str]


class Names:
    """Looks host names up, each in a thread that keeps nobody from leaving."""

    def __init__(self) -> None:
        self._looks: dict[str, asyncio.Future[list[Address]]] = {}

    async def addresses(self, name: str) -> list[Address]:
        """Return a name's addresses, each with its family.

        Raises:
            OSError: it has none, or nobody can tell.
        """
        look = self._looks.get(name)
        if look is None:
            loop = asyncio.get_running_loop()
            look = self._looks[name] = loop.create_future()
            look.add_done_callback(lambda _: self._looks.pop(name, None))
            look.add_done_callback(_retrieve)
            threading.Thread(target=_look_up, args=(name, look, loop), daemon=True).start()
        return await asyncio.shield(look)


def _look_up(
    name: str, look: "asyncio.Future[list[Address]]", loop: asyncio.AbstractEventLoop
) -> None:
    found: list[Address] | OSError
    try:
        listing = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        found = list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in listing))
    except (OSError, UnicodeError) as error:
        found = error if isinstance(error, OSError) else OSError(f"{name!r} is no host name")
    with contextlib.suppress(RuntimeError):  # the router has ended meanwhile
        loop.call_soon_threadsafe(_tell, look, found)


def _tell(look: "asyncio.Future[list[Address]]", found: "list[Address] | OSError") -> None:
    if look.done():
        return
    if isinstance(found, OSError):
        look.set_exception(found)
    else:
        look.set_result(found)


def _retrieve(look: "asyncio.Future[list[Address]]") -> None:
    if not look.cancelled():
        look.exception()  # whoever waited may have given up: nobody else would ask for it


CONNECT_SECONDS = 1.5  # to an address that swallows packets; the system sends a second try after 1
WELCOME_SECONDS = 5.0  # handshake and log-in: a member that starts or is busy takes its time
SILENCE_SECONDS = 5  # after which the system begins to ask whether the other side is still there
_ids = itertools.count(1)


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

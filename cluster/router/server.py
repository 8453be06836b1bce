"""The listener: clients' connections, one command at a time each, every answer in its place."""

import asyncio
import itertools
import logging
import ssl
from collections import deque
from typing import Any, cast

import bson
from bson.raw_bson import RawBSONDocument

from cluster.router import wire
from cluster.router.commands import execute
from cluster.router.context import Context, Services, encode
from cluster.router.errors import RETRYABLE, CommandError, HangUpError
from cluster.router.identity import Login

log = logging.getLogger(__name__)
_ids = itertools.count(1)
WAITING_MESSAGES = 4  # more than that, pipelined by a client, are left in the socket


class ClientConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, services: Services, open_connections: set["ClientConnection"]) -> None:
        self._services = services
        self._open = open_connections
        self._login = Login()
        self._buffer = bytearray()
        self._waiting: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._ending = False
        self._peer = ""
        self._id = next(_ids)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("", 0)
        self._peer = f"{peer[0]}:{peer[1]}"
        here = transport.get_extra_info("sockname") or ("", 0)
        self._login.client, self._login.server = peer[0], here[0]
        self._open.add(self)
        self._services.connections = len(self._open)

    def connection_lost(self, _: Exception | None) -> None:
        self._open.discard(self)
        self._services.connections = len(self._open)
        # Carry out the messages that arrived whole: a client that wants no answers (w: 0) may close
        # its connection right after its last write.

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while (length := wire.message_length(self._buffer)) and len(self._buffer) >= length:
                self._waiting.append(bytes(self._buffer[:length]))
                del self._buffer[:length]
        except wire.MalformedMessageError as error:
            self._drop(error)
        self._flow()
        if self._task is None and self._waiting and not self._ending:
            self._task = asyncio.create_task(self._serve())

    def end(self) -> None:
        """Close once the command that is being carried out has been answered."""
        self._ending = True
        self._waiting.clear()
        if self._task is None:
            self.close()

    def close(self) -> None:
        """Close; whatever is unsent is sent first."""
        if self._transport is not None:
            self._transport.close()

    def _flow(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if len(self._waiting) > WAITING_MESSAGES:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _drop(self, error: Exception) -> None:
        log.warning("%s sent a malformed message, connection closed: %s", self._peer, error)
        if self._transport is not None:
            self._transport.abort()

    async def _serve(self) -> None:
        try:
            while self._waiting and not self._ending:
                message = self._waiting.popleft()
                try:
                    request = wire.parse_request(message)
                except wire.MalformedMessageError as error:
                    self._drop(error)
                    return
                try:
                    document = await self._answer(request.command)
                except HangUpError as error:
                    log.info("%s is hung up on: %s", self._peer, error)
                    self.close()
                    return
                if request.wants_reply and self._transport and not self._transport.is_closing():
                    answer = wire.encode_reply(
                        next(_ids), request.id, document, legacy=request.legacy
                    )
                    self._transport.write(answer)
                self._flow()
        finally:
            self._task = None
            if self._ending:
                self.close()

    async def _answer(self, sent: dict[str, Any]) -> bytes:
        try:
            return encode(await execute(self._context(sent)))
        except HangUpError:
            raise
        except CommandError as error:
            return bson.encode(_labelled(error, sent))
        except (bson.errors.BSONError, RecursionError, UnicodeError) as error:
            return bson.encode(CommandError(22, f"invalid BSON: {error}").document())
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            # A document of a shape that no handler foresaw; it must not end the router.
            log.exception("%s sent a command that could not be understood", self._peer)
            reason = f"the command is not of the form that it must have ({type(error).__name__})"
            return bson.encode(CommandError(9, reason).document())
        except Exception:  # a client that waits for an answer must get one, whatever went wrong
            log.exception("%s sent a command that failed inside the router", self._peer)
            return bson.encode(CommandError(1, "the router failed: see its log").document())

    def _context(self, sent: dict[str, Any]) -> Context:
        name, db = next(iter(sent), ""), sent.get("$db")
        if not name or not isinstance(db, str) or not db or set(db) & set('/\\. "$\0'):
            raise CommandError(73, f"invalid command {name!r} on database {db!r}")
        if "$clusterTime" in sent and self._login.user:
            self._services.shards.learn_time(sent["$clusterTime"])
        return Context(self._services, self._login, name, sent, db, self._peer, self._id)


def _labelled(error: CommandError, sent: dict[str, Any]) -> dict[str, Any]:
    """The error's document, marked for the driver when it may send its write again."""
    document = error.document()
    if "txnNumber" in sent and error.code in RETRYABLE:
        document["errorLabels"] = ["RetryableWriteError"]
    for name, value in document.items():
        if isinstance(value, RawBSONDocument):
            document[name] = value
    return document


async def serve(
    services: Services, address: list[str], port: int, tls: ssl.SSLContext | None = None
) -> None:
    """Listen until told to stop; let the commands that run finish, for a while, then close.

    Each connection is then closed as soon as it is idle. What was begun is answered; what a client
    sends too late is not begun, so that it may be sent again, to another router.

    Raises:
        OSError: an address cannot be listened on.
    """
    clients: set[ClientConnection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: ClientConnection(services, clients), address, port, backlog=512, ssl=tls
    )
    log.info("listening on %s port %d%s", ", ".join(address), port, " by TLS" if tls else "")
    await services.stop.wait()
    log.info("told to stop")
    server.close()
    for client in list(clients):
        client.end()
    deadline = loop.time() + services.drain_seconds
    while clients and loop.time() < deadline:  # noqa: ASYNC110 - soon over
        await asyncio.sleep(0.01)
    for client in list(clients):
        client.close()
    await asyncio.sleep(0)

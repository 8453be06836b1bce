"""One client's connection, in the event loop: what it sends, what it gets, and how slow it may be.

Nothing here waits in a thread. A request is handed on when it is whole (or, where its body is
streamed, when its head is), one at a time; the next one's bytes wait behind it.
"""

import asyncio
import socket
import struct
from time import perf_counter
from typing import Any, Protocol

from flask import Flask

from api.serving.exchange import Exchange, Lane
from api.serving.messages import (
    IN_MEMORY,
    LONGEST_LINE,
    Message,
    Parser,
    Refusals,
    Streamed,
    Whole,
    expects_continue,
    malformed,
    message,
    problem,
    trust,
)
from api.settings import Settings
from api.web import problems
from api.web.body import incomplete, too_large, too_slow
from api.web.operations import Admit, LaneName
from api.web.problems import ProblemError


class Pace:
    """Bytes that move in each window of so many seconds; a mobile connection may pause in one.

    Slow is who moves less than `rate` bytes a second.
    """

    __slots__ = ("_at", "_moved", "_rate", "_since", "_window")

    def __init__(self, rate: float, window: float) -> None:
        self._rate = rate
        self._window = window
        self.restart()

    def restart(self) -> None:
        """A new window begins."""
        self._since = perf_counter()
        self._at: int | None = None
        self._moved = 0

    def moved(self, size: int) -> None:
        """So many bytes."""
        self._moved += size

    def slow(self, now: float, total: int | None = None) -> bool:
        """Whether the window that ends now was too slow. `total`: bytes so far, if nobody calls
        `moved`."""
        if total is not None:
            if self._at is None:
                self._at = total
            self._moved = total - self._at
        if now - self._since < self._window:
            return False
        if self._moved < self._rate * self._window:
            return True
        self.restart()
        return False


PIECE = 64 * 1024  # bytes handed to the kernel in one call
PIPELINED = 64 * 1024  # bytes of next requests that are read while one is being answered
LINGER = 2.0  # seconds for which a client may go on sending after the last answer
LINGER_BYTES = 1024 * 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Host(Protocol):
    """What a connection needs of the worker it belongs to."""

    cfg: Any  # gunicorn's configuration
    settings: Settings
    loop: asyncio.AbstractEventLoop
    wsgi: Flask
    lanes: dict[LaneName, Lane]
    admit: Admit
    refusals: Refusals
    stopping: bool

    def joined(self, connection: "Connection") -> None:
        """Count a new connection."""

    def left(self, connection: "Connection") -> None:
        """It is closed."""

    def spool(self, peer: str, found: Message) -> str:
        """A large body will be kept in a file: who for. Raises ProblemError when too many are."""

    def unspool(self, client: str) -> None:
        """It is no longer needed."""


class Connection(asyncio.Protocol):
    """A client, until it or we close."""

    def __init__(self, worker: Host) -> None:
        self._worker = worker
        self._exchange: Exchange | None = None
        self._message: Message | None = None
        self._ahead = bytearray()  # what came behind the request being answered
        self._latest = b""
        self._pending: list[memoryview] = []
        self._answered = False  # the app has given all of its answer
        self._keep = True
        self._blocked = False  # the kernel takes no more for now
        self._paused = False
        self._ended = False  # the client sends no more
        self._began: float | None = None  # when the message that is being read began
        self._served = False
        self._closing: float | None = None
        self._lingered = 0
        self._handed = 0
        self._pace = Pace(worker.settings.minimum_rate, worker.settings.client_timeout)
        self._spooled_for: str | None = None  # the client for whom a file is kept
        self.since = perf_counter()

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP socket it is one
        self.transport = transport
        self._peer = transport.get_extra_info("peername") or ("", 0)
        self._addresses = (self._peer, transport.get_extra_info("sockname"))
        self.address: str = self._peer[0]
        transport.set_write_buffer_limits(high=PIECE, low=PIECE // 4)
        cfg = self._worker.cfg
        self._trusted = trust(cfg, self._peer)
        self._parser = Parser(
            on_headers_complete=self._on_head,
            on_body=self._on_body,
            on_message_complete=self._on_end,
            limit_request_line=LONGEST_LINE,
            limit_request_fields=cfg.limit_request_fields,
            limit_request_field_size=cfg.limit_request_field_size,
        )
        self._worker.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base's name
        """End."""
        self._worker.left(self)
        self._drop()

    def data_received(self, data: bytes) -> None:
        """Bytes of this request, or of a later one."""
        if self._closing is not None:
            self._lingered += len(data)
            if self._lingered > LINGER_BYTES:
                self.abort()
        elif self._busy:
            self._ahead += data
            if len(self._ahead) > PIPELINED:
                self._pause()
        else:
            self._feed(data)

    def eof_received(self) -> bool:
        """The client sends no more. It may still read its answer; but a client that watches events
        has gone.
        """
        self._ended = True
        if self._closing is not None or (self._began is None and self._exchange is None):
            return False
        if self._exchange is not None and self._exchange.pushed:
            return False
        if not self._parser.is_complete:
            self._break_off(incomplete())
        return True

    def pause_writing(self) -> None:
        """The client takes less than we have."""
        self._blocked = True

    def resume_writing(self) -> None:
        """It takes more."""
        self._blocked = False
        self._pump()

    # Reading.

    @property
    def _busy(self) -> bool:
        """Whether a whole request is here that has not been answered yet."""
        return self._exchange is not None and self._exchange.message.body.complete

    def _feed(self, data: bytes) -> None:
        if self._began is None:
            self._began = perf_counter()
        self._latest = data
        try:
            self._parser.feed(data)
        except Exception as error:  # noqa: BLE001 - nothing that a client sends may pass
            found = problem(error)
            if found is None:
                problems.log.error("reader", exc_info=error)
                found = malformed("it could not be read")
            self._break_off(found)
            return
        if self._parser.is_complete:
            self._ahead += self._parser.remaining()

    def _on_head(self) -> bool:
        self._message = found = message(self._parser, self._worker.cfg, self._peer, self._trusted)
        self._admission = admission = self._worker.admit(found.method, found.path)
        if (found.content_length or 0) > admission.body_limit:
            raise too_large()
        self._pace.restart()
        if admission.streamed and (found.content_length or found.chunked):
            wanted = self._later(self._continue)
            found.body = Streamed(admission.body_limit, wanted, self._later(self._resume))
            self._submit(found, admission)
            return False
        found.body = Whole(admission.body_limit)
        most = admission.body_limit if found.chunked else found.content_length or 0
        if most > IN_MEMORY:
            self._spooled_for = self._worker.spool(self.address, found)
        if most and expects_continue(found):
            self.transport.write(CONTINUE)
        return False

    def _on_body(self, data: bytes) -> None:
        assert self._message is not None  # noqa: S101 - the head comes first
        body = self._message.body
        body.feed(data)
        self._pace.moved(len(data))
        if isinstance(body, Streamed) and body.full:
            self._pause()

    def _on_end(self) -> None:
        assert self._message is not None  # noqa: S101 - the head comes first
        self._message.body.finish()
        self._began = None
        if self._exchange is None:
            self._submit(self._message, self._admission)

    def _later(self, function: Any) -> Any:
        return lambda: self._worker.loop.call_soon_threadsafe(function)

    def _continue(self) -> None:
        found = self._message
        if found is not None and expects_continue(found) and not self._handed:
            self.transport.write(CONTINUE)

    def _submit(self, found: Message, admission: Any) -> None:
        if self._worker.stopping:
            found.must_close = True
        self._answered, self._keep = False, True
        self._exchange = exchange = Exchange(found, admission, self._worker.cfg, self._addresses)
        exchange.on(self._worker.loop, self, self._worker.wsgi)
        self._worker.lanes[admission.lane].submit(exchange)

    def _pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def _break_off(self, found: ProblemError) -> None:
        """What is being read will never be a request."""
        self._began = None
        if self._exchange is None:
            self.refuse(found, False)
            return
        self._exchange.message.body.fail(found)
        self._pause()

    # Writing.

    def take(self, parts: list[bytes], last: bool, keep: bool) -> None:
        """See `Client`."""
        if self._closing is not None or self._exchange is None:
            return
        if not self._pending:
            self._pace.restart()
        self._pending += [memoryview(part) for part in parts if part]
        self._answered = last
        self._keep = keep
        self._pump()

    def refuse(self, problem: ProblemError, keep: bool) -> None:
        """See `Client`."""
        if self._closing is not None or self.transport.is_closing():
            return
        found = self._message
        keep = keep and found is not None and not found.should_close() and not self._ended
        answer = self._worker.refusals.answer(
            problem, found, self._latest, self.address, close=not keep
        )
        self._pending.append(memoryview(answer))
        self._answered, self._keep = True, keep
        self._pace.restart()
        self._pump()

    def abort(self) -> None:
        """See `Client`."""
        taken: socket.socket = self.transport.get_extra_info("socket")
        # Reset it, or the kernel would keep what nobody fetches.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _pump(self) -> None:
        pending = self._pending
        while pending and not self._blocked:
            part = pending[0]
            piece, rest = part[:PIECE], part[PIECE:]
            if rest:
                pending[0] = rest
            else:
                del pending[0]
            self.transport.write(piece)
            self._handed += len(piece)
            if self._exchange is not None and self._exchange.outlet is not None:
                self._exchange.outlet.sent(len(piece))
        if not pending and self._answered:
            self._next()

    def _next(self) -> None:
        """The answer is on its way: on to the next request, if there may be one."""
        keep = self._keep  # as the answer has said, even where the worker has begun to stop
        self._drop()
        if not keep or (self._ended and not self._ahead):
            self._close()
            return
        self._served = True
        self._answered = False
        self._handed = 0
        self._parser.reset()
        self.since = perf_counter()
        self._resume()
        if self._ahead:
            data = bytes(self._ahead)
            self._ahead.clear()
            self._feed(data)
            if self._ended and not self._parser.is_complete:
                self._break_off(incomplete())

    def _drop(self) -> None:
        """Let go of the request. A thread that waits for its client learns that it is gone."""
        exchange, found = self._exchange, self._message
        self._exchange = self._message = None
        self._pending.clear()
        if self._spooled_for is not None:
            self._worker.unspool(self._spooled_for)
            self._spooled_for = None
        if exchange is not None:
            if exchange.claim():
                exchange.message.body.close()  # it has not begun, and never will
            if isinstance(exchange.message.body, Streamed):
                exchange.message.body.fail(incomplete())
            if exchange.outlet is not None:
                exchange.outlet.lose()
        elif found is not None and hasattr(found, "body"):
            found.body.close()

    def _close(self) -> None:
        """Send what is left, then close. RFC 9112 9.6: a client that still sends must not be reset,
        or it would lose the answer; so the reading side goes on for a moment."""
        self._closing = perf_counter()
        self._pace.restart()
        if self._ended:
            self.transport.close()
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._resume()

    # The worker's calls.

    @property
    def idle(self) -> bool:
        """Whether no request is here, nor the beginning of one."""
        return self._exchange is None and self._began is None and self._closing is None

    @property
    def waiting(self) -> bool:
        """Whether a request, if there is one, has not arrived."""
        return self._exchange is None

    def shut(self) -> None:
        """Close it while it is idle."""
        self.transport.close()

    def check(self, now: float) -> None:
        """Close what is too slow. Called every half second or so."""
        settings = self._worker.settings
        left = self.transport.get_write_buffer_size()
        if self._closing is not None:
            if (left == 0 and now - self._closing > LINGER) or (
                left and self._pace.slow(now, self._handed - left)
            ):
                self.abort()
        elif self._pending or left:
            if self._pace.slow(now, self._handed - left):
                self.abort()
        elif self._exchange is not None:
            self._check_stream(now, self._exchange)
        elif self._began is not None:
            self._check_arrival(now, self._began)
        else:
            longest = self._worker.cfg.keepalive if self._served else settings.client_timeout
            if now - self.since > longest:
                self.shut()

    def _check_stream(self, now: float, exchange: Exchange) -> None:
        body = exchange.message.body
        if not isinstance(body, Streamed) or body.complete or not exchange.begun:
            return
        late = now - exchange.arrived > exchange.admission.seconds
        if late or (body.starved and self._pace.slow(now)):
            self._break_off(too_slow())
        elif not body.starved:
            self._pace.restart()

    def _check_arrival(self, now: float, began: float) -> None:
        timeout = self._worker.settings.client_timeout
        if self._message is None:
            if now - began > timeout:
                detail = "The request did not arrive in time."
                self._break_off(ProblemError(408, detail, kind="slow"))
            return
        if now - began > self._admission.seconds + timeout or self._pace.slow(now):
            self._break_off(too_slow())

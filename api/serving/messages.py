"""A request's head and body; and answers without the app.

The head is as gunicorn's parser read it, held to rules that the parser leaves out. What breaks them
is answered with problem details like the app's own. A body is whole before a thread works on it, or
read by it while it arrives.
"""

import io
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from secrets import token_hex
from typing import IO, Any, Protocol

from gunicorn.asgi.parser import (
    CallbackRequest,
    InvalidHTTPVersion,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseError,
    PythonProtocol,
    UnsupportedTransferCoding,
)
from gunicorn.asgi.protocol import _RequestHeaderPolicy
from gunicorn.http.errors import ParseException
from gunicorn.util import split_request_uri

from api.web import cors, languages, logs, problems
from api.web.body import too_large
from api.web.languages import say
from api.web.problems import ProblemError
from api.web.requests import ACCEPTABLE, HEADER, SECURITY_HEADERS

IN_MEMORY = 64 * 1024  # bytes; larger bodies wait in a file
AHEAD = 256 * 1024  # bytes of a streamed body that are held for its reader


class Body(Protocol):
    """What the connection feeds. `limit` and `size` in bytes."""

    size: int
    complete: bool

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises ProblemError (413) above the limit."""

    def finish(self) -> None:
        """That was all."""

    def fail(self, problem: ProblemError) -> None:
        """It will never be whole."""

    def stream(self) -> IO[bytes] | "Streamed":
        """For `wsgi.input`."""

    def close(self) -> None:
        """Forget it."""


class Whole:
    """A body that is kept until it is whole: in memory, above IN_MEMORY in a temporary file."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self.complete = False
        self._limit = limit
        self._file: IO[bytes] = io.BytesIO()

    def feed(self, data: bytes) -> None:
        """Keep them."""
        self.size += len(data)
        if self.size > self._limit:
            raise too_large()
        if self.size > IN_MEMORY and isinstance(self._file, io.BytesIO):
            held, self._file = self._file, tempfile.TemporaryFile()  # noqa: SIM115 - see `close`
            self._file.write(held.getbuffer())
        self._file.write(data)

    def finish(self) -> None:
        """It may be read."""
        self.complete = True
        self._file.seek(0)

    def fail(self, problem: ProblemError) -> None:
        """Nobody reads it before it is whole, so nobody has to be told."""

    def stream(self) -> IO[bytes]:
        """All of it."""
        return self._file

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


class Streamed:
    """A body that a thread reads while the connection feeds it.

    wanted   called in the reading thread before its first wait
    taken    called in the reading thread when there is room again
    """

    def __init__(self, limit: int, wanted: Callable[[], None], taken: Callable[[], None]) -> None:
        self.size = 0
        self.complete = False
        self._limit = limit
        self._wanted = wanted
        self._asked = False
        self._taken = taken
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._problem: ProblemError | None = None
        self._changed = threading.Condition()

    def feed(self, data: bytes) -> None:
        """Hold them for the reader."""
        self.size += len(data)
        if self.size > self._limit:
            raise too_large()
        with self._changed:
            self._parts.append(data)
            self._held += len(data)
            self._changed.notify()

    @property
    def full(self) -> bool:
        """Whether the connection should wait for the reader."""
        return self._held > AHEAD

    @property
    def starved(self) -> bool:
        """Whether the reader waits for the client, not the client for the reader."""
        return not self.complete and not self._held

    def finish(self) -> None:
        """That was all."""
        with self._changed:
            self.complete = True
            self._changed.notify()

    def fail(self, problem: ProblemError) -> None:
        """The reader gets this problem once it has read what is there."""
        with self._changed:
            self._problem = self._problem or problem
            self._changed.notify()

    def stream(self) -> "Streamed":
        """Itself."""
        return self

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, waiting for the first. Empty at the end. Raises ProblemError."""
        if not self._asked and not self._parts and not self.complete:
            self._asked = True
            self._wanted()
        with self._changed:
            # No time-out: the connection fails what is too slow, and what was lost.
            while not self._parts and not self.complete and self._problem is None:
                self._changed.wait()
            if not self._parts:
                if self._problem is not None:
                    raise self._problem
                return b""
            part = self._parts.popleft()
            if 0 <= size < len(part):
                self._parts.appendleft(part[size:])
                part = part[:size]
            was_full = self.full
            self._held -= len(part)
            freed = was_full and not self.full
        if freed:
            self._taken()
        return part

    def close(self) -> None:
        """Forget what nobody has read."""
        with self._changed:
            self._parts.clear()
            self._held = 0


LONGEST_TARGET = 4094  # bytes: room for an address with a filter, short enough to be no burden
LONGEST_LINE = 4 * LONGEST_TARGET  # read to the end, so that a page may read the 414

# RFC 9110 7.2, RFC 3986 3.2.2: a name, an IPv4 address or [an IP literal], then perhaps a port.
HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]+|\[[\w.:]+\])(?::\d{1,5})?", re.ASCII).fullmatch
TOO_LONG = say("The address is longer than {longest} bytes.", longest=LONGEST_TARGET)
ONLY_CHUNKED = "The only transfer coding that this server takes is chunked."
ANSWERS = (
    (LimitRequestLine, 414, TOO_LONG),
    (LimitRequestHeaders, 431, "The header fields are too many, or too large."),
    (UnsupportedTransferCoding, 501, ONLY_CHUNKED),
)
VERSION = re.compile(r"HTTP/\d\.\d").fullmatch

# RFC 9110 5.6.2 and 5.5, as the inherited parser has them. It looks at byte after byte of each name
# and value, which takes a quarter of all that receiving a request does.
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


class Parser(PythonProtocol):  # type: ignore[misc]  # gunicorn's types end here
    """gunicorn's incremental parser, which looks at no more than the names of trailers."""

    def _find_line(self, limit: int, error: Exception) -> int:
        index: int = super()._find_line(limit, error)
        if index > 0 and self._state == "chunked" and self._chunk_state == "trailer":
            name, colon, value = bytes(self._buffer[:index]).partition(b":")
            if not colon or not self._is_valid_token(name) or self._has_invalid_header_chars(value):
                raise ParseError("Invalid trailer")
        return index

    def _is_valid_token(self, data: bytes) -> bool:
        return TOKEN(data) is not None

    def _has_invalid_header_chars(self, value: bytes) -> bool:
        return CONTROL(value) is not None


class Message(CallbackRequest):  # type: ignore[misc]
    """A request for gunicorn.http.wsgi, which makes the WSGI environment of it."""

    body: Body
    trailers: tuple[()] = ()
    _expected_100_continue = False  # the connection sees to it

    def should_close(self) -> bool:
        """Whether the connection ends with the answer, as it does where the body goes on."""
        return not self.body.complete or bool(super().should_close())


def trust(cfg: Any, peer: tuple[Any, ...]) -> tuple[Any, Any]:
    """The headers by which this peer may say how its client came, as gunicorn's policy has them."""
    policy = _RequestHeaderPolicy(cfg, peer, "http", (1, 1))
    found: tuple[Any, Any] = policy._peer_trusted_for_forwarded()
    return found


def message(parser: Parser, cfg: Any, peer: tuple[Any, ...], trusted: tuple[Any, Any]) -> Message:
    """The request whose head the parser has read. `trusted` is `trust` of the peer.

    Raises ProblemError, or what `problem` knows.
    """
    found: Message = Message.from_parser(parser)
    policy = _RequestHeaderPolicy(cfg, peer, found.scheme, found.version)
    policy.apply(found, trusted)
    if len(parser.path) > LONGEST_TARGET:
        raise ProblemError(414, TOO_LONG)
    _check_host(found)
    _check_fields(found)
    try:
        parts = split_request_uri(found.uri)
    except ValueError:
        raise malformed("its target is no address") from None
    found.path, found.query = parts.path or "", parts.query or ""
    return found


def _check_host(found: Message) -> None:
    """RFC 9112 3.2: HTTP/1.1 names its host, once, and any Host must be one."""
    hosts = [value for name, value in found.headers_bytes if name == b"host"]
    if len(hosts) > 1 or (not hosts and found.version >= (1, 1)):
        raise malformed("it must have one Host field")
    if hosts and not HOST(hosts[0]):
        raise malformed("its Host field names no host")


def _check_fields(found: Message) -> None:
    for name, value in found.headers_bytes:
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            raise ProblemError(501, ONLY_CHUNKED)
        if name == b"expect" and value.lower() != b"100-continue":
            raise ProblemError(417, "The only expectation that this server meets is 100-continue.")


def expects_continue(found: Message) -> bool:
    """Whether the client waits to be asked for the body."""
    expected: bool = found._expect_100_continue
    return expected


def malformed(why: str) -> ProblemError:
    """400: what came is no HTTP message."""
    detail = say("The request is malformed: {why}.", why=say(why))
    return ProblemError(400, detail, kind="malformed")


def problem(error: Exception) -> ProblemError | None:
    """What to answer for an error of the parser; None for what is no such error."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, InvalidHTTPVersion) and VERSION(str(error)):
        return ProblemError(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
    for kind, status, detail in ANSWERS:
        if isinstance(error, kind):
            return ProblemError(status, detail)
    # ValueError: a number of some thousand digits.
    known = isinstance(error, ParseError | ParseException | ValueError)
    return malformed("it breaks the rules of RFC 9112") if known else None


ORIGIN, LANGUAGE = "Origin", "Accept-Language"
LINES = {
    name: re.compile(
        rb"\r\n%s:[ \t]*([\x21-\x7e][\x20-\x7e]*?)[ \t]*\r\n" % name.encode(), re.IGNORECASE
    )
    for name in (ORIGIN, LANGUAGE)
}


def field(name: str, found: Message | None, raw: bytes) -> str | None:
    """One of LINES; from what came last, where the head could not be parsed."""
    if found is not None:
        value: str | None = found.get_header(name.upper())
        return value
    seen = LINES[name].search(raw)
    return seen.group(1).decode("latin-1") if seen else None


class Refusals:
    """Makes them, logs and counts them.

    origins   whose pages may read them
    count     called with the status of each
    """

    def __init__(self, origins: frozenset[str], count: Callable[[int], None]) -> None:
        self._origins = origins
        self._count = count

    def answer(
        self, problem: ProblemError, found: Message | None, raw: bytes, peer: str, close: bool
    ) -> bytes:
        """The answer's bytes. `raw`: what came last, for when the head could not be parsed."""
        given = found.get_header("X-REQUEST-ID") if found else None
        request_id = given if given and ACCEPTABLE(given) else token_hex(8)
        language = languages.chosen(field(LANGUAGE, found, raw))
        body = problems.document(problem, request_id, language)
        headers = {
            "Date": formatdate(time.time(), usegmt=True),
            "Connection": "close" if close else "keep-alive",
            "Content-Type": problems.MEDIA_TYPE,
            "Content-Length": str(len(body)),
            **SECURITY_HEADERS,
            **languages.headers(language),
            **self._cross_origin(found, raw),
            **problem.headers,
            HEADER: request_id,
        }
        lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._report(problem, found, request_id, peer)
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head if found is not None and found.method == "HEAD" else head + body

    def _cross_origin(self, found: Message | None, raw: bytes) -> dict[str, str]:
        if not self._origins:
            return {}
        admitted = cors.admitting(field(ORIGIN, found, raw), self._origins)
        return {"Vary": "Accept-Language, Origin", **admitted}

    def _report(
        self, problem: ProblemError, found: Message | None, request_id: str, peer: str
    ) -> None:
        self._count(problem.status)
        logs.request(
            logs.RequestLine(
                request_id=request_id,
                address=peer,
                method=found.method if found else "",
                route=None,
                status=problem.status,
                ms=0,
                db_ms=0,
                user=None,
            )
        )

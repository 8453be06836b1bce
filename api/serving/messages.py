"""A request's head as gunicorn's parser read it, held to the rules that the parser leaves out."""

import re
from typing import Any

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

from api.serving.bodies import Body
from api.web.problems import ProblemError

LONGEST_TARGET = 4094  # bytes: room for an address with a filter, short enough to be no burden
LONGEST_LINE = 4 * LONGEST_TARGET  # read to the end, so that a page may read the 414

# RFC 9110 7.2, RFC 3986 3.2.2: a name, an IPv4 address or [an IP literal], then perhaps a port.
HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]+|\[[\w.:]+\])(?::\d{1,5})?", re.ASCII).fullmatch
TOO_LONG = f"The address is longer than {LONGEST_TARGET} bytes."
ONLY_CHUNKED = "The only transfer coding that this server takes is chunked."
ANSWERS = (
    (LimitRequestLine, 414, TOO_LONG),
    (LimitRequestHeaders, 431, "The header fields are too many, or too large."),
    (UnsupportedTransferCoding, 501, ONLY_CHUNKED),
)
VERSION = re.compile(r"HTTP/\d\.\d").fullmatch


class Parser(PythonProtocol):  # type: ignore[misc]  # gunicorn's types end here
    """gunicorn's incremental parser, which looks at no more than the names of trailers."""

    def _find_line(self, limit: int, error: Exception) -> int:
        index: int = super()._find_line(limit, error)
        if index > 0 and self._state == "chunked" and self._chunk_state == "trailer":
            name, colon, value = bytes(self._buffer[:index]).partition(b":")
            if not colon or not self._is_valid_token(name) or self._has_invalid_header_chars(value):
                raise ParseError("Invalid trailer")
        return index


class Message(CallbackRequest):  # type: ignore[misc]
    """A request for gunicorn.http.wsgi, which makes the WSGI environment of it."""

    body: Body
    trailers: tuple[()] = ()
    _expected_100_continue = False  # the connection sees to it

    def should_close(self) -> bool:
        """Whether the connection ends with the answer, as it does where the body goes on."""
        return not self.body.complete or bool(super().should_close())


def message(parser: Parser, cfg: Any, peer: tuple[Any, ...]) -> Message:
    """The request whose head the parser has read. Raises ProblemError, or what `problem` knows."""
    found: Message = Message.from_parser(parser)
    policy = _RequestHeaderPolicy(cfg, peer, found.scheme, found.version)
    policy.apply(found)
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
    return ProblemError(400, f"The request is malformed: {why}.", kind="malformed")


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

"""Large bodies, read piece by piece while they arrive, within a deadline of their own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flask import request
from werkzeug.exceptions import ClientDisconnected

from api.web.problems import ProblemError

PIECE = 64 * 1024

SOCKET = "gunicorn.socket"


@contextmanager
def arriving(seconds: float) -> Iterator[Iterator[bytes]]:
    """The request's body in pieces; its last byte must be here within `seconds`.

    Reading raises ProblemError: 408 when time is up, 400 when the body ends before its
    Content-Length; and 413 above the request's limit. A client that trickles would keep a thread
    for as long as it likes, because a timeout of the socket begins anew with each byte: so the
    reading side of the connection is shut at the deadline; the answer still goes out.
    """
    late = threading.Event()

    def shut() -> None:
        late.set()
        connection: socket.socket | None = request_socket
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)

    request_socket = request.environ.get(SOCKET)
    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield _pieces(late)
    finally:
        timer.cancel()


def _pieces(late: threading.Event) -> Iterator[bytes]:
    expected, seen = request.content_length, 0
    try:
        while piece := request.stream.read(PIECE):
            if late.is_set():
                break
            seen += len(piece)
            yield piece
    except ClientDisconnected:
        seen = -1
    if late.is_set():
        headers = {"Connection": "close"}
        raise ProblemError(408, "The body did not arrive in time.", kind="slow", headers=headers)
    if seen < (expected or 0):
        raise ProblemError(400, "The body ended before it was complete.", kind="malformed")

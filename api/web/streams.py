"""Large bodies, read piece by piece."""

from collections.abc import Iterator

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from api.web.problems import ProblemError

PIECE = 64 * 1024

STREAM = "shardstack.stream"  # the WSGI environment's: a body that the server bounds while it comes


def pieces() -> Iterator[bytes]:
    """The request's body. Raises ProblemError: 400 when it ends before its Content-Length, 413.

    How long it may take is the server's business (api/serving): its stream raises 408.
    """
    expected, seen = request.content_length, 0
    try:
        stream = request.environ.get(STREAM) or request.stream
        while piece := stream.read(PIECE):
            seen += len(piece)
            yield piece
    except ClientDisconnected:
        raise incomplete() from None
    except RequestEntityTooLarge:
        raise too_large() from None
    if seen < (expected or 0):
        raise incomplete()


def incomplete() -> ProblemError:
    """400: RFC 9112 8, an incomplete message is never acted on."""
    return ProblemError(400, "The body ended before it was complete.", kind="malformed")


def too_large() -> ProblemError:
    """413."""
    return ProblemError(413, "The body is larger than this server takes.")


def too_slow() -> ProblemError:
    """408."""
    return ProblemError(408, "The body did not arrive in time.", kind="slow")

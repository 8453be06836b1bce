"""Answers that go on while no thread works on them: server-sent events.

A view gives a `Pushed` as its answer's body. The server sends the head, hands over a `Channel` and
lets the thread go; from then on whoever has the channel sends. The format of events is that of the
HTML standard, 9.2.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
from flask import Response

EVENT_STREAM = "text/event-stream"


class Channel(Protocol):
    """Where the rest of an answer goes. One thread at a time."""

    @property
    def open(self) -> bool:
        """Whether the client is still there."""

    def send(self, data: bytes) -> bool:
        """Send it; waits for nobody. False: the client has gone, or takes less than is sent."""

    def end(self) -> None:
        """The answer is whole."""


class Pushed:
    """The body of an answer, made by whoever `begin` hands the channel to.

    To a server that knows nothing of it, it is empty.
    """

    def __init__(self, begin: Callable[[Channel], None]) -> None:
        self.begin = begin

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


def answer(begin: Callable[[Channel], None]) -> Response:
    """A stream of events as a response."""
    body: Any = Pushed(begin)
    return Response(body, mimetype=EVENT_STREAM, direct_passthrough=True)


def event(name: str, data: Any, event_id: str | None = None) -> bytes:
    """One event. `data` becomes JSON, which has no line breaks."""
    named = b"" if event_id is None else b"id: %s\n" % event_id.encode()
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), named, msgspec.json.encode(data))


def comment(text: str) -> bytes:
    """A line that clients pass over."""
    return b": %s\n\n" % text.encode()


def retry(milliseconds: int) -> bytes:
    """How long a client waits before it connects again."""
    return b"retry: %d\n\n" % milliseconds

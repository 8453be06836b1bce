"""HTTP by hand: what no client library would send, and answers as they stand on the wire."""

from __future__ import annotations

import select
import socket
import ssl
from pathlib import Path
from typing import NamedTuple

import msgspec

PATIENCE = 60.0  # seconds; longer than any answer takes on a busy machine


class Answer(NamedTuple):
    """One answer. Names of headers in small letters; `closed`: the server ended the connection."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool = False

    @property
    def json(self) -> dict[str, object]:
        """The body."""
        found: dict[str, object] = msgspec.json.decode(self.body)
        return found


class Wire:
    """A connection."""

    def __init__(self, port: int, receive: int | None = None, ca: Path | None = None) -> None:
        """`receive`: bytes the kernel keeps for us while we do not read. `ca`: speak TLS."""
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if receive is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.connect(("127.0.0.1", port))
        if ca is not None:
            context = ssl.create_default_context(cafile=str(ca))
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self._buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes, *, end: bool = False) -> Wire:
        """These bytes; `end`: and no more."""
        self.socket.sendall(data)
        if end:
            self.socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self, *, body: bool = True) -> Answer:
        """The next one, by its Content-Length. Raises ConnectionError when there is none."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        line, *fields = head.split("\r\n")
        headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in fields)}
        status = int(line.split()[1])
        size = int(headers.get("content-length", "0")) if body and status >= 200 else 0
        while len(self._buffer) < size:
            self._more()
        content, self._buffer = self._buffer[:size], self._buffer[size:]
        return Answer(status, headers, content)

    def ended(self) -> bytes:
        """What is left until the server ends the connection; it must."""
        while True:
            try:
                self._more()
            except ConnectionError:
                return self._buffer

    @property
    def open(self) -> bool:
        """Whether the server holds it still. What it sends stays unread."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return not poll.poll(0)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        found, self._buffer = self._buffer.split(mark, 1)
        return found

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError
        self._buffer += data


def post(path: str, body: bytes, *fields: str, length: int | None = None) -> bytes:
    """A request with a JSON body; `length` if not the true one, -1 for none."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", *fields]
    if not any(field.startswith("Content-Type") for field in fields):
        lines.append("Content-Type: application/json")
    if length != -1:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(path: str, body: bytes, *fields: str) -> bytes:
    """A request whose body is as it stands, in chunks already."""
    return post(path, body, "Transfer-Encoding: chunked", *fields, length=-1)


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)

"""A decoder of multipart bodies (RFC 2046, 5.1) that may be cut anywhere: bytes in, parts out.

Why not Werkzeug's: 3.1 adds a CR to a part's data when the bytes so far end just behind a boundary,
and so would damage one file in some tens of thousands. This one knows one line break, CRLF, as the
standard does; whatever else it meets is malformed.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from werkzeug.http import parse_options_header

LONGEST_HEADERS = 8 * 1024
LONGEST_PREAMBLE = 8 * 1024
LONGEST_PADDING = 128  # spaces behind a boundary


class Part(NamedTuple):
    """The beginning of a part. Its data follows."""

    name: str
    filename: str | None
    media: str


class MultipartError(ValueError):
    """The bytes are no multipart body; the message says why, as the end of a sentence."""


def decode(boundary: bytes, pieces: Iterable[bytes]) -> Iterator[Part | bytes]:
    """Each part, then its data in as many pieces as it comes. Raises `MultipartError`."""
    reader = _Reader(pieces)
    delimiter = b"\r\n--" + boundary
    reader.unread(b"\r\n")  # the first boundary may stand at the very beginning
    for _ in _until(reader, delimiter, "it has no boundary", LONGEST_PREAMBLE):
        pass  # the preamble means nothing
    while _another(reader):
        yield _part(_headers(reader))
        yield from _until(reader, delimiter, "it ends within a part")
    for _ in reader:
        pass  # nor does the epilogue


class _Reader:
    """Bytes that were received and not yet used."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.buffer = bytearray()

    def more(self, missing: str) -> None:
        """Receive some more."""
        piece = next(self._pieces, b"")
        if not piece:
            raise MultipartError(missing)
        self.buffer += piece

    def take(self, size: int) -> bytes:
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def unread(self, data: bytes) -> None:
        self.buffer[:0] = data

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


def _until(
    reader: _Reader, mark: bytes, missing: str, longest: int | None = None
) -> Iterator[bytes]:
    """What comes before the mark; the mark itself is used up."""
    seen = 0
    while (found := reader.buffer.find(mark)) < 0:
        sure = len(reader.buffer) - len(mark) + 1  # what is behind may be the mark's beginning
        if sure > 0:
            seen += sure
            if longest is not None and seen > longest:
                raise MultipartError(missing)
            yield reader.take(sure)
        reader.more(missing)
    if found:
        yield reader.take(found)
    reader.take(len(mark))


def _another(reader: _Reader) -> bool:
    """Whether a part follows the boundary that was just read."""
    while len(reader.buffer) < 2:
        reader.more("it ends within a boundary")
    if reader.buffer.startswith(b"--"):
        return False
    padding = b"".join(_until(reader, b"\r\n", "a boundary has no line end", LONGEST_PADDING))
    if padding.strip(b" \t"):
        raise MultipartError("there are bytes behind a boundary")
    return True


def _headers(reader: _Reader) -> dict[str, str]:
    reader.unread(b"\r\n")  # a part may have no headers at all
    raw = b"".join(_until(reader, b"\r\n\r\n", "a part's headers have no end", LONGEST_HEADERS))
    try:
        lines = raw.decode().split("\r\n")
    except UnicodeDecodeError:
        raise MultipartError("a part's headers are not UTF-8") from None
    found = {}
    for line in filter(None, lines):
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or name != name.strip() or not value.isprintable():
            raise MultipartError("a part has a header that is none")
        found[name.lower()] = value.strip()
    return found


def _part(headers: dict[str, str]) -> Part:
    kind, options = parse_options_header(headers.get("content-disposition", ""))
    if kind != "form-data" or "name" not in options:
        raise MultipartError("a part has no Content-Disposition: form-data with a name")
    media, _ = parse_options_header(headers.get("content-type", ""))
    return Part(options["name"], options.get("filename"), media)

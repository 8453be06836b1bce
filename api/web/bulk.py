"""Newline-delimited JSON: one value per line, read and written as a stream."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

MEDIA = "application/x-ndjson"
NAMES = frozenset(
    {MEDIA, "application/ndjson", "application/jsonl", "application/jsonlines"}
)  # of the same: none is registered
BOM = b"\xef\xbb\xbf"  # which some editors write at the beginning of a file


class Line(NamedTuple):
    """A line of the body, by its number from 1. `text` is None where it was too long."""

    number: int
    text: bytes | None


def lines(pieces: Iterable[bytes], longest: int) -> Iterator[Line]:
    """The lines of a body, without the empty ones. Of one above `longest` bytes nothing is kept."""
    held = bytearray()
    number, skipping = 1, False
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for text in whole:
            held += text
            if number == 1 and held.startswith(BOM):
                del held[: len(BOM)]
            if skipping or len(held) > longest:
                yield Line(number, None)
            elif held.strip():
                yield Line(number, bytes(held))
            held.clear()
            number, skipping = number + 1, False
        held += rest
        if len(held) > longest:
            held.clear()
            skipping = True
    if number == 1 and held.startswith(BOM):
        del held[: len(BOM)]
    if skipping:
        yield Line(number, None)
    elif held.strip():
        yield Line(number, bytes(held))


def encode(value: Any) -> bytes:
    """One line."""
    return msgspec.json.encode(value) + b"\n"

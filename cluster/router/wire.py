"""The wire protocol: bytes to command documents and back.

OP_MSG carries everything; OP_QUERY is understood for the first ``hello`` of old handshakes only.
Source: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/

Documents are decoded one level deep. What lies deeper stays the bytes that the client sent, so user
data passes through the router unchanged (duplicate fields, deprecated types and all), and cheaply.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

HEADER = struct.Struct("<iiii")
INT32 = struct.Struct("<i")
OP_REPLY, OP_QUERY, OP_COMPRESSED, OP_MSG = 1, 2004, 2012, 2013
CHECKSUM_PRESENT, MORE_TO_COME, EXHAUST_ALLOWED = 1, 2, 1 << 16
MAX_MESSAGE_BYTES = 48_000_000

Document = dict[str, Any]
"""A document as the router handles it: decoded one level deep."""

RAW: CodecOptions[RawBSONDocument] = CodecOptions(
    document_class=RawBSONDocument, datetime_conversion=DatetimeConversion.DATETIME_MS
)


class MalformedMessageError(Exception):
    """The bytes are not a message; the connection cannot go on, since its framing is lost."""


@dataclass(slots=True)
class Request:
    """One command of a client: its document, and what the header said of it."""

    id: int
    command: dict[str, Any]
    legacy: bool = False
    """It came as OP_QUERY, so the answer is an OP_REPLY."""
    wants_reply: bool = True


def message_length(buffer: bytes | bytearray) -> int | None:
    """Length in bytes of the message that starts the buffer, None while its header is incomplete.

    Raises:
        MalformedMessageError: the length cannot be one.
    """
    if len(buffer) < 16:
        return None
    length: int = INT32.unpack_from(buffer)[0]
    if not 16 < length <= MAX_MESSAGE_BYTES:
        raise MalformedMessageError(
            f"a message of {length} bytes (17 to {MAX_MESSAGE_BYTES} may be)"
        )
    return length


def parse_request(message: bytes) -> Request:
    """Decode one whole message of a client.

    Raises:
        MalformedMessageError: it breaks the protocol.
    """
    _, request_id, _, opcode = HEADER.unpack_from(message)
    try:
        if opcode == OP_MSG:
            flags, command = _sections(message)
            return Request(request_id, command, wants_reply=not flags & MORE_TO_COME)
        if opcode == OP_QUERY:
            return Request(request_id, _legacy_query(message), legacy=True)
    except (bson.errors.BSONError, struct.error, ValueError, RecursionError) as error:
        raise MalformedMessageError(str(error) or type(error).__name__) from None
    raise MalformedMessageError(f"opcode {opcode} is not served here")


def parse_reply(message: bytes) -> dict[str, Any]:
    """Decode a member's OP_MSG one level deep: nested documents stay raw."""
    _, document = _sections(message)
    return document


def _sections(message: bytes) -> tuple[int, dict[str, Any]]:
    flags: int = INT32.unpack_from(message, 16)[0]
    if flags & 0xFFFF & ~(CHECKSUM_PRESENT | MORE_TO_COME):
        raise MalformedMessageError(f"unknown required flag bits {flags:#x}")
    end = len(message) - (4 if flags & CHECKSUM_PRESENT else 0)
    if message[20] == 0 and INT32.unpack_from(message, 21)[0] == end - 21:  # by far the usual case
        return flags, _decode(message[21:end])
    body: dict[str, Any] | None = None
    sequences: dict[str, list[RawBSONDocument]] = {}
    position = 20
    while position < end:
        kind = message[position]
        size: int = INT32.unpack_from(message, position + 1)[0]
        stop = position + 1 + size
        if size < 5 or stop > end:
            raise MalformedMessageError("a section runs past the end of its message")
        if kind == 0 and body is None:
            body = _decode(message[position + 1 : stop])
        elif kind == 1:
            nul = message.index(0, position + 5, stop)
            name = message[position + 5 : nul].decode()
            if name in sequences:
                raise MalformedMessageError(f"two document sequences are named {name}")
            sequences[name] = _split(message, nul + 1, stop)
        else:
            raise MalformedMessageError(f"a section of kind {kind} is unknown or stands twice")
        position = stop
    if body is None:
        raise MalformedMessageError("the message has no body section")
    if sequences.keys() & body.keys():
        raise MalformedMessageError("a document sequence repeats a field of the body")
    return flags, {**body, **sequences}


def _split(message: bytes, start: int, stop: int) -> list[RawBSONDocument]:
    documents = []
    while start < stop:
        size: int = INT32.unpack_from(message, start)[0]
        if size < 5 or start + size > stop:
            raise MalformedMessageError("a document runs past the end of its sequence")
        documents.append(RawBSONDocument(message[start : start + size], RAW))
        start += size
    return documents


def _legacy_query(message: bytes) -> dict[str, Any]:
    nul = message.index(0, 20)
    name = message[20:nul].decode()
    start = nul + 9
    size: int = INT32.unpack_from(message, start)[0]
    if not name.endswith(".$cmd") or size < 5 or start + size > len(message):
        raise MalformedMessageError("OP_QUERY serves commands only")
    command = _decode(message[start : start + size])
    command.setdefault("$db", name.removesuffix(".$cmd"))
    return command


def _decode(document: bytes) -> dict[str, Any]:
    return dict(RawBSONDocument(document, RAW).items())


def encode_request(request_id: int, command: Mapping[str, Any]) -> bytes:
    """Encode a command for a member."""
    return encode_reply(request_id, 0, bson.encode(command))


def encode_reply(own_id: int, answers: int, document: bytes, *, legacy: bool = False) -> bytes:
    """Wrap an encoded document as the answer to request `answers`."""
    if legacy:
        head = HEADER.pack(36 + len(document), own_id, answers, OP_REPLY)
        return b"".join((head, struct.pack("<iqii", 8, 0, 0, 1), document))
    head = HEADER.pack(21 + len(document), own_id, answers, OP_MSG)
    return b"".join((head, b"\0\0\0\0\0", document))

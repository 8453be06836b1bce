"""Framing of messages, key files and set names: pure functions."""

from __future__ import annotations

import struct

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.router.members import parse_set
from cluster.router.wire import (
    MalformedMessageError,
    encode_reply,
    encode_request,
    message_length,
    parse_reply,
    parse_request,
)


def test_what_is_encoded_is_parsed_again() -> None:
    message = encode_request(7, {"ping": 1, "$db": "x", "deep": {"a": [1]}})
    assert message_length(message) == len(message)
    request = parse_request(message)
    assert (request.id, list(request.command)) == (7, ["ping", "$db", "deep"])
    assert parse_reply(encode_reply(1, 7, bson.encode({"ok": 1.0}))) == {"ok": 1.0}


def test_a_document_sequence_joins_the_body() -> None:
    body = bson.encode({"insert": "c", "$db": "d"})
    documents = b"".join(bson.encode({"_id": n}) for n in range(3))
    section = b"documents\0" + documents
    content = b"\0\0\0\0" + b"\0" + body + b"\1" + struct.pack("<i", 4 + len(section)) + section
    message = struct.pack("<iiii", 16 + len(content), 1, 0, 2013) + content
    assert [dict(it) for it in parse_request(message).command["documents"]] == [
        {"_id": 0},
        {"_id": 1},
        {"_id": 2},
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    for opcode in (2004, 2013):
        message = struct.pack("<iiii", 16 + len(data), 1, 0, opcode) + data
        try:
            parse_request(message)
        except MalformedMessageError:
            continue


@pytest.mark.parametrize("length", [-1, 0, 16, 48_000_001])
def test_impossible_lengths(length: int) -> None:
    with pytest.raises(MalformedMessageError):
        message_length(struct.pack("<iiii", length, 0, 0, 0))


def test_a_short_header_waits() -> None:
    assert message_length(b"\x20\0\0") is None


def test_set_names() -> None:
    assert parse_set("cfg/a:1,b:2") == ("cfg", ["a:1", "b:2"])
    for wrong in ("", "cfg", "cfg/", "/a:1", "cfg/a", "cfg/a:x", "cfg/a:70000"):
        with pytest.raises(ValueError, match="form"):
            parse_set(wrong)

"""Bodies that arrive slowly, or not at all: bounded, whoever sends them."""

import io
import socket
import time

import pytest
from flask import Flask, request

from api.web.problems import ProblemError
from api.web.streams import PIECE, SOCKET, arriving


def test_a_client_that_trickles_is_cut_off_in_time() -> None:
    """Each byte comes within any socket timeout; the whole never does."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as stream, Flask("x").test_request_context("/"):
        request.environ |= {
            "wsgi.input": stream,
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": "1000",
            SOCKET: ours,
        }
        theirs.sendall(b"x" * 10)
        began = time.monotonic()
        with pytest.raises(ProblemError) as caught, arriving(0.2) as pieces:
            list(pieces)
        assert caught.value.status == 408
        assert time.monotonic() - began < 5
        ours.sendall(b"the answer still goes out")
        assert theirs.recv(100) == b"the answer still goes out"


@pytest.mark.parametrize("size", [0, 1, PIECE, 3 * PIECE + 1])
def test_a_whole_body_is_read(size: int) -> None:
    data = bytes(size)
    with Flask("x").test_request_context("/", method="POST", data=data), arriving(5) as pieces:
        assert b"".join(pieces) == data


def test_a_body_that_ends_too_early() -> None:
    with Flask("x").test_request_context("/", method="POST", data=b"abc"):
        request.environ["CONTENT_LENGTH"] = "4"
        request.environ["wsgi.input"] = io.BytesIO(b"abc")
        with pytest.raises(ProblemError) as caught, arriving(5) as pieces:
            list(pieces)
        assert caught.value.status == 400

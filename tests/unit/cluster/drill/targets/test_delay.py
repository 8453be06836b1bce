"""Packets of one port that arrive later, and at once when whoever delays them is gone; as root."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.drill.targets import delay
from cluster.drill.targets.silence import End, Silence

SECONDS = 0.2
WHY = Silence(Path("/nowhere"), Path("/nowhere")).cannot() or delay.cannot()
pytestmark = pytest.mark.skipif(WHY != "", reason=WHY or "it can")


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers what it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def _serve(server: socket.socket) -> None:
    client, _ = server.accept()
    with client:
        while data := client.recv(4096):
            client.sendall(data)


def _round_trip(client: socket.socket) -> float:
    began = time.monotonic()
    client.sendall(b"x")
    assert client.recv(4096) == b"x"
    return time.monotonic() - began


def test_what_a_server_sends_arrives_later(port: int, tmp_path: Path) -> None:
    # The server's process is this one, so what the client sends is delayed, too: it has the group.
    silence = Silence(tmp_path, tmp_path / "drill")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        try:
            silence.slow(End("shard-1-1", os.getpid(), port), SECONDS)
            assert _round_trip(client) >= SECONDS
            # As when the drill is killed: the rules stay, and nobody takes what they hand out.
            delay.end(silence._delays.pop("shard-1-1"))
            assert min(_round_trip(client) for _ in range(5)) < SECONDS
            assert silence._there() != []
        finally:
            assert silence.join(["shard-1-1"]) != []
        assert silence._there() == []

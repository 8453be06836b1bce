"""Whether a port is free."""

from __future__ import annotations

import socket

from console import ports


def test_a_port_on_which_connections_linger_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the server's end goes first and stays in TIME_WAIT
        client.close()
    assert ports.is_free(port)

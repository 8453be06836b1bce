"""Free ports of this machine."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Container
from pathlib import Path

from console.errors import ShownError

HOST = "127.0.0.1"
"""Where everything of a state folder listens."""
LOWEST, HIGHEST = 10_000, 32_000
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def choose(count: int, taken: Container[int]) -> list[int]:
    """Free ports that are not among `taken`, below those that outgoing connections are given.

    The system may lend any port of its own range to a connection, also the port of a server that
    is down for a moment; and two who choose at the same time shall not meet, hence the chance.
    """
    try:
        highest = int(RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError):
        highest = HIGHEST
    highest = highest if highest > LOWEST + 2_000 else HIGHEST
    candidate = LOWEST + secrets.randbelow(highest - LOWEST - 1_000)
    found: list[int] = []
    while len(found) < count:
        if candidate > 65_535:
            raise ShownError("there are no free ports. Give the first one with --ports.")
        if candidate not in taken and is_free(candidate):
            found.append(candidate)
        candidate += 1
    return found


def holder(port: int) -> str | None:
    """Which process has the port, as far as this user may know."""
    import psutil  # noqa: PLC0415 - containers have none of it, and ask for no port

    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return None

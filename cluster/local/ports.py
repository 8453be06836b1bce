"""Free ports: chosen once, remembered, and checked before a node is started on one."""

from __future__ import annotations

import errno
import secrets
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from cluster.errors import NodeError
from cluster.local.record import HOST, Record

LOWEST, HIGHEST = 10_000, 32_000
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def assign(record: Record) -> list[str]:
    """Gives every node without a port one, and returns those nodes' names."""
    nodes = [name for name in record.node_names() if name not in record.ports]
    if not nodes:
        return []
    taken = set(record.ports.values())
    first = record.topology.ports
    if isinstance(first, int):
        start = max(taken, default=first - 1) + 1
        record.ports |= {name: start + n for n, name in enumerate(nodes)}
    else:
        record.ports |= dict(zip(nodes, _free(len(nodes), taken), strict=True))
    return nodes


def _free(count: int, taken: set[int]) -> list[int]:
    """Ports that nobody listens on, below those that outgoing connections are given.

    The system may lend any port of its own range to a connection, also the port of a node that is
    down for a moment; and two clusters made at the same time shall not meet, hence the chance.
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
            raise NodeError("there are no free ports. Give the first one with --ports.")
        if candidate not in taken and is_free(candidate):
            found.append(candidate)
        candidate += 1
    return found


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


def check_free(record: Record, nodes: Iterable[str], fresh: Iterable[str]) -> None:
    """NodeError when a stranger listens where one of `nodes` must; `fresh` ones can still move."""
    taken = [name for name in nodes if not is_free(record.ports[name])]
    end = time.monotonic() + 3
    while taken and _holder(record.ports[taken[0]]) is None and time.monotonic() < end:
        time.sleep(0.02)  # nobody's, so probably that of a node which is just dying
        taken = [name for name in taken if not is_free(record.ports[name])]
    if not taken:
        return
    port = record.ports[taken[0]]
    more = f" (and {len(taken) - 1} more are taken)" if len(taken) > 1 else ""
    remedy = "Stop that program"
    if taken[0] in set(fresh):
        remedy += ", or choose other ports with --ports"
    holder = _holder(port) or "another program"
    raise NodeError(f"port {port} of {taken[0]} is taken by {holder}{more}. {remedy}.")


def _holder(port: int) -> str | None:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return None

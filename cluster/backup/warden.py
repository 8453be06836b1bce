"""Lifts the fence when the dump that put it up is dead, or too slow.

The server offers no lock that ends by itself, so this is a process of its own, in a session of its
own. It is told on its standard input which members there are, and waits: for "done", which ends
it; for the end of the input, which is the death of the dump; or for the longest time that writes
may wait. In the last two cases it unlocks every member.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.access import Access
from cluster.errors import ClusterError
from cluster.layout import Node

DONE = b"done\n"
TIMEOUT = 10.0  # seconds for each answer of a member


@contextlib.contextmanager
def warden(access: Access, seconds: float) -> Iterator[None]:
    """A warden stands by while the block runs; `seconds` from now it lifts the fence.

    Raises ClusterError when it cannot be started.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "cluster.backup.warden"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        start_new_session=True,  # what ends the dump (Ctrl-C, a closed terminal) spares it
    )
    assert process.stdin is not None  # noqa: S101 - for the type checker
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(json.dumps(_orders(access, seconds)).encode() + b"\n")
        process.stdin.flush()
        if process.stdout.readline() != b"ready\n":
            raise ClusterError("the process that would lift the fence did not start.")
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(DONE)
            process.stdin.close()
        process.wait()
        process.stdout.close()


def _orders(access: Access, seconds: float) -> dict[str, Any]:
    """On standard input, since arguments and the environment are for others to see."""
    return {
        "key": access.key,
        "tls_ca": str(access.tls_ca.absolute()) if access.tls_ca else None,
        "members": [[n.name, n.host, n.port] for s in access.layout.sets for n in s.members],
        "seconds": seconds,
    }


def main() -> int:
    """Stands by; 0 when nothing had to be done, 1 when the fence was lifted."""
    from cluster.backup.locks import lift  # noqa: PLC0415 - before it is ready, not when needed
    from cluster.connect import Connections  # noqa: PLC0415

    orders = json.loads(_line())
    members = [Node(*member) for member in orders["members"]]
    tls_ca = Path(orders["tls_ca"]) if orders["tls_ca"] else None
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    ready, _, _ = select.select([0], [], [], orders["seconds"])
    if ready and _line() == DONE:
        return 0
    why = "the dump died" if ready else f"the fence stood for {orders['seconds']:.0f} s"
    with Connections(orders["key"], TIMEOUT, tls_ca) as connections:
        try:
            names = ", ".join(node.name for node in lift(connections, members))
            said = f"{why}: unlocked {names}" if names else f"{why}"
        except ClusterError as error:
            said = f"{why}: {error}"
    with contextlib.suppress(OSError):  # whoever could have read it may be gone
        sys.stderr.write(f"{said}\n")
        sys.stderr.flush()
    return 1


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (more := os.read(0, 1 << 16)):
        line += more
    return line


if __name__ == "__main__":
    sys.exit(main())

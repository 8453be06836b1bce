"""Packets that the packet filter hands out, given back after a while: a process of its own.

    python -m cluster.drill.targets.delay QUEUE SECONDS

It prints `ready` once it gets what rules send to the queue (`-j NFQUEUE --queue-num QUEUE`), and
ends when its input is closed. So it ends with the drill, whatever ends that; and rules that say
`--queue-bypass` then let every packet pass at once. It takes root. A network device that delays
(netem) would do the same, but cannot tell the packets of one process, and not every kernel has it.
Source: include/uapi/linux/netfilter/nfnetlink_queue.h, nfnetlink.h, netlink.h of Linux
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque

from cluster.errors import ClusterError

READY = "ready"
NETLINK_NETFILTER = 12
SUBSYSTEM = 3 << 8
"""Of queues (NFNL_SUBSYS_QUEUE); the kinds of message follow."""
PACKET, CONFIGURE, VERDICTS = SUBSYSTEM | 0, SUBSYSTEM | 2, SUBSYSTEM | 3
REQUEST, ACKNOWLEDGE = 1, 4
COMMAND, PARAMETERS, LONGEST, MASK, FLAGS = 1, 2, 3, 4, 5
"""Attributes of CONFIGURE."""
BIND, META, ACCEPT = 1, 1, 1
FAIL_OPEN, WHOLE = 1, 4
"""Let pass what the queue has no room for; do not cut large packets into pieces."""
HEADER = 1
"""The attribute of PACKET that begins with the packet's number."""
VERDICT = 2
"""The attribute of VERDICTS: what is done with all packets up to a number."""
ROOM = 65_536
BUFFER = 8 * 2**20
HEAD = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
FAMILY_BYTES = 4


class Queue:
    """The packets of one queue of the packet filter. Raises OSError."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        flags = struct.pack("!I", FAIL_OPEN | WHOLE)
        self._configure({COMMAND: struct.pack("!BBH", BIND, 0, socket.AF_INET)})
        self._configure({PARAMETERS: struct.pack("!IB", 0, META)})
        self._configure({LONGEST: struct.pack("!I", ROOM)})
        self._configure({MASK: flags, FLAGS: flags})

    def next(self) -> int | None:
        """The number of the packet that has come; None if it was something else."""
        try:
            data = self.socket.recv(65_536)
        except OSError as error:
            if error.errno == errno.ENOBUFS:  # some were let pass, as none had room
                return None
            raise
        if HEAD.unpack_from(data)[1] != PACKET:
            return None
        at = HEAD.size + FAMILY_BYTES
        while at < len(data):
            length, kind = ATTRIBUTE.unpack_from(data, at)
            if kind == HEADER:
                return int(struct.unpack_from("!I", data, at + ATTRIBUTE.size)[0])
            at += -(-length // 4) * 4
        return None

    def accept(self, number: int) -> None:
        """Let pass every packet up to this one."""
        self._send(VERDICTS, REQUEST, {VERDICT: struct.pack("!II", ACCEPT, number)})

    def _configure(self, attributes: dict[int, bytes]) -> None:
        self._send(CONFIGURE, REQUEST | ACKNOWLEDGE, attributes)
        (number,) = struct.unpack_from("=i", self.socket.recv(65_536), HEAD.size)
        if number:
            raise OSError(-number, os.strerror(-number))

    def _send(self, kind: int, flags: int, attributes: dict[int, bytes]) -> None:
        body = struct.pack("!BBH", socket.AF_UNSPEC, 0, self._number)
        for name, value in attributes.items():
            body += ATTRIBUTE.pack(ATTRIBUTE.size + len(value), name) + value
            body += b"\0" * (-len(value) % 4)
        self.socket.send(HEAD.pack(HEAD.size + len(body), kind, flags, 0, 0) + body)


def cannot() -> str:
    """Why no packet can be delayed here; "" when it can."""
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER).close()
    except OSError as error:
        return f"the kernel hands out no packets ({error.strerror})"
    return ""


def begin(number: int, seconds: float) -> subprocess.Popen[str]:
    """Start the process, and wait until it is at work. Raises ClusterError."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cluster.drill.targets.delay", str(number), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the drill
    )
    assert process.stdout is not None  # noqa: S101
    if process.stdout.readline().strip() != READY:
        _, errors = process.communicate()
        why = errors.strip().rpartition("\n")[2]
        raise ClusterError(f"the kernel delays no packets: {why}.")
    return process


def end(process: subprocess.Popen[str]) -> None:
    """End it; packets that wait pass at once."""
    process.communicate()


def _work(queue: Queue, seconds: float) -> None:
    """Give every packet back after so many seconds, until the input ends."""
    waiting: deque[tuple[float, int]] = deque()
    while True:
        now = time.monotonic()
        due = None
        while waiting and waiting[0][0] <= now:
            due = waiting.popleft()[1]
        if due is not None:
            queue.accept(due)
        left = waiting[0][0] - now if waiting else None
        readable, _, _ = select.select([queue.socket, sys.stdin], [], [], left)
        if sys.stdin in readable:
            break
        if readable and (number := queue.next()) is not None:
            waiting.append((time.monotonic() + seconds, number))
    if waiting:
        queue.accept(waiting[-1][1])


def main() -> None:
    """Delay what comes, until the input ends."""
    queue = Queue(int(sys.argv[1]))
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        _work(queue, float(sys.argv[2]))


if __name__ == "__main__":
    main()

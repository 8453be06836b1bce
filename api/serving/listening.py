"""The port the server listens on: opened, inherited, handed on, and closed without losing anybody.

Connections that the kernel has accepted wait at the socket. They are lost when the last process
closes it, so a server that is replaced hands it to its successor, and one that ends lets nobody
join the queue any more, and answers those who are in it.
"""

import ctypes
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from api.errors import LocalError

BACKLOG = 2048
HANDING_SECONDS = 3.0
SETTLE = 0.1  # seconds for connections whose first packet was let through
QUEUE_SECONDS = 3.0
STEP = 0.01
SO_ATTACH_FILTER = 26  # asm-generic/socket.h
TCP_INFO_SIZE, TCP_INFO_QUEUE = 104, 12  # the queue of a listening socket is in tcpi_unacked
FD_GIVEN = b"."

# Lets through all but a connection's first packet, which has SYN and not ACK. It is dropped and not
# refused: the client sends it again after a second, and then nobody listens. (tcp(7), BPF:
# code, jump if true, jump if false, operand; the filter sees the TCP header at 0.)
NO_SYN = (
    (0x30, 0, 0, 13),  # load the flags
    (0x54, 0, 0, 0x12),  # SYN and ACK of them
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # accept
)


def listen(host: str, port: int) -> socket.socket:
    """Open the port. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened


def turn_away(listeners: Iterable[socket.socket]) -> None:
    """Let nobody new join the queue, and wait until the workers have accepted those who are in it.

    Whoever comes from now on is refused as soon as all processes have closed the socket.
    """
    filtered = [one for one in listeners if one.family in (socket.AF_INET, socket.AF_INET6)]
    code = b"".join(struct.pack("=HBBI", *one) for one in NO_SYN)
    memory = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(NO_SYN), ctypes.addressof(memory))
    for one in filtered:
        with suppress(OSError):  # another system than Linux, or one that forbids it
            one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    began = time.monotonic()
    while (waited := time.monotonic() - began) < QUEUE_SECONDS:
        if waited > SETTLE and not any(map(_queue, filtered)):
            return
        time.sleep(STEP)


def _queue(listener: socket.socket) -> int:
    """Connections that wait to be accepted."""
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
    except OSError:
        return 0
    return int(struct.unpack("B" * 8 + "I" * 24, info)[TCP_INFO_QUEUE])


# ---- handing on --------------------------------------------------------------------------------


def offer(path: Path) -> socket.socket:
    """A socket by which a successor on this machine may ask for the port. Raises LocalError."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            _in_folder(path, door.bind)
        finally:
            os.umask(before)
        door.listen()
    except OSError as error:
        door.close()
        raise LocalError(f"cannot make the socket {path}: {error.strerror}") from None
    return door


def hand_on(door: socket.socket, listener: Callable[[], int]) -> None:
    """Give the port to each of this user's processes that asks, from a thread, without end."""

    def serve() -> None:
        while True:
            try:
                client, _ = door.accept()
            except OSError:
                return
            with client, suppress(OSError, ValueError):
                peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                if struct.unpack("iii", peer)[1] == os.getuid():
                    socket.send_fds(client, [FD_GIVEN], [listener()])

    threading.Thread(target=serve, name="handing on", daemon=True).start()


def take_over(path: Path) -> socket.socket | None:
    """The port of the server that offers it there. None when no process of it answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(HANDING_SECONDS)
        try:
            _in_folder(path, client.connect)
            data, descriptors, _, _ = socket.recv_fds(client, len(FD_GIVEN), 1)
        except OSError:
            return None
    return socket.socket(fileno=descriptors[0]) if data == FD_GIVEN and descriptors else None


def _in_folder(path: Path, use: Callable[[str], None]) -> None:
    """Such an address has room for 107 bytes; a folder's path may be longer."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)

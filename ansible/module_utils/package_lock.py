"""Who holds dpkg's lock on this host."""

from __future__ import annotations

import fcntl
import struct
from pathlib import Path

LOCK = Path("/var/lib/dpkg/lock-frontend")
FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid


def holder(lock: Path) -> str:
    """The process that holds it: its name and number; "" if none does, or there is no lock."""
    if not lock.exists():
        return ""
    asked = struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0)
    with lock.open("rb+") as file:
        kind, _, _, _, pid = struct.unpack(FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        return ""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        name = "a process that has just ended"
    return f"{name} (process {pid})"

"""A clock of its own for one node of this machine, which may be set while the node runs.

libfaketime stands between a process and the system's clock: it adds what a file says, which it
reads once a second. Time spans (CLOCK_MONOTONIC) are left alone, as they are when somebody sets a
machine's clock. It takes no root; other processes see nothing of it.
Source: https://github.com/wolfcw/libfaketime, README
"""

from __future__ import annotations

from pathlib import Path

import psutil

from console import files

LIBRARY = "faketime/libfaketimeMT.so.1"
PLACES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")
FILE = "FAKETIME_TIMESTAMP_FILE"


def cannot() -> str:
    """Why there is none here; "" when there is."""
    if library() is None:
        return "a clock of its own for one node takes libfaketime (apt-get install libfaketime)"
    return ""


def library() -> Path | None:
    """Where libfaketime is; None without it. Debian has it in a folder for the architecture."""
    for place in map(Path, PLACES):
        if found := next((f for p in (LIBRARY, f"*/{LIBRARY}") for f in place.glob(p)), None):
            return found
    return None


def environment(file: Path) -> dict[str, str]:
    """What a process is started with that shall have the clock of a file."""
    return {
        "LD_PRELOAD": str(library()),
        FILE: str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def set_off(file: Path, seconds: int) -> None:
    """Set the clock so many seconds ahead of the system's, or behind it if negative."""
    files.write(file, f"{seconds:+d}\n")


def has_own(process: psutil.Process) -> bool:
    """Whether a process has such a clock."""
    try:
        return FILE in process.environ()
    except (psutil.Error, OSError):
        return False

"""A small disk for one node of this machine, so that it can be full while the others' is not.

It is a tmpfs, mounted over the node's empty data folder under a name that tells it as a drill's.
What is on it is a copy that the node makes of the others' data, and is given up with it: nothing
that only this disk has can be lost. It takes root.
"""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from cluster.errors import ClusterError

SOURCE = "shardstack-drill"
BALLAST = "ballast"
SIZE_MIB = 512
"""An empty mongod takes 100, and what it copies is little."""
STEP = 2**20


def cannot() -> str:
    """Why there is none here; "" when there is."""
    return (
        "" if os.geteuid() == 0 else "a disk of its own for one node takes root, which this is not"
    )


def mounted(below: Path) -> list[Path]:
    """The small disks that are mounted below a folder."""
    lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    found = [line.split()[:2] for line in lines]
    return [
        Path(place) for source, place in found if source == SOURCE and below in Path(place).parents
    ]


def mount(data: Path) -> None:
    """Put a small disk over an empty folder, which is made if need be. Raises ClusterError."""
    data.mkdir(mode=0o700, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0700", SOURCE, str(data))


def fill(data: Path) -> None:
    """Leave not a byte on it."""
    with (data / BALLAST).open("wb", buffering=0) as file:
        size = STEP
        while size:
            try:
                file.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


def clear(data: Path) -> None:
    """Free again what `fill` took."""
    (data / BALLAST).unlink(missing_ok=True)


def unmount(data: Path) -> None:
    """Give the disk up, with all that is on it; nobody may use it. Raises ClusterError."""
    _run("umount", str(data))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        why = " ".join(done.stderr.split())
        raise ClusterError(f"`{' '.join(command)}` refuses: {why}. Then run `drill heal`.")

"""A disk of its own for one node of this machine: it can be full, stand still, or lose its power,
while the disk that all others share goes on.

It is a file with ext4 on it, in the node's folder, mounted through a loop device. The node's data
are moved onto it, and back again before it is given up:

    disk.img      the disk
    disk          where it is mounted
    data          while there is a disk, a symbolic link to `disk/data`
    data.before   the data that the disk holds, until it is used
    data.after    the data that the disk held, until it is given up

At every moment one of these has all the data; and while the disk should be mounted and is not, as
after a reboot, the link leads nowhere, so that no node starts with none. It takes root.

Power is cut by an ioctl that file systems have for tests (FS_IOC_SHUTDOWN): at once nothing is
written any more, and what the kernel still had in memory is lost, as a power cut does it to a
machine. Where the node had waited for its data to be on disk (fsync) they are there afterwards.
Sources: ioctl_fs(4) of FIFREEZE and FITHAW; fs/ext4/ioctl.c, include/uapi/linux/fs.h of Linux
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.errors import ClusterError

NEEDED = ("mkfs.ext4", "mount", "umount")
LOOPS = Path("/dev/loop-control")
MIB = 2**20
SIZE_MIB = 512
"""Beside twice what the data take when they move in."""
STEP = 64 * MIB
PATIENCE = 300.0
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
UNSYNCED = "written-last"
"""A file of which only the kernel's memory knows when the power is cut."""


def cannot() -> str:
    """Why there is none here; "" when there is."""
    if os.geteuid() != 0:
        return "a disk of its own for one node takes root, which this is not"
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        return f"a disk of its own for one node takes {', '.join(missing)}, which is not here"
    return "" if LOOPS.exists() else "there are no loop devices, which a disk of its own takes"


def disks(nodes: Path) -> list[Disk]:
    """The disks that there are below the folder of all nodes, whole or not."""
    return [Disk(image.parent) for image in sorted(nodes.glob("*/disk.img"))]


class Disk:
    """The disk of one node, which is down, except in `fill`, `clear`, `freeze` and `thaw`.

    Each method raises ClusterError.
    """

    def __init__(self, node: Path) -> None:
        self.node = node
        self.image, self.place = node / "disk.img", node / "disk"
        self.data, self._ballast = node / "data", node / "disk" / "ballast"
        self._before, self._after = node / "data.before", node / "data.after"

    def make(self) -> None:
        """Make the disk, and move the node's data onto it."""
        taken = sum(file.stat().st_size for file in self.data.rglob("*") if file.is_file())
        size = SIZE_MIB * MIB + 2 * taken
        if (free := shutil.disk_usage(self.node).free) < 2 * size:
            raise ClusterError(
                f"{self.node.name} gets no disk of its own: it takes {2 * size // MIB} MiB, and "
                f"{free // MIB} are free."
            )
        with self.image.open("wb") as file:
            file.truncate(size)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self.image))
        self._mount()
        _copy(self.data, self.place / "data")
        self.data.rename(self._before)
        self.data.symlink_to(Path("disk") / "data")
        shutil.rmtree(self._before)

    def give_up(self) -> None:
        """Move the data back, and delete the disk; also one that was being made or given up."""
        self.thaw()
        if self.data.is_symlink():
            self.recover()
            shutil.rmtree(self._before, ignore_errors=True)
            shutil.rmtree(self._after, ignore_errors=True)
            _copy(self.place / "data", self._after)
            self.data.unlink()
        if not self.data.exists():
            (self._before if self._before.exists() else self._after).rename(self.data)
        self._unmount()
        for folder in (self.place, self._before, self._after):
            shutil.rmtree(folder, ignore_errors=True)
        self.image.unlink()

    def fill(self) -> None:
        """Leave not a byte on it."""
        with self._ballast.open("wb", buffering=0) as file:
            size, end = STEP, 0
            while size:
                try:
                    os.posix_fallocate(file.fileno(), end, size)
                    end += size
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2

    def clear(self) -> None:
        """Free again what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let whoever writes to it wait."""
        with self._opened() as folder:
            fcntl.ioctl(folder, FIFREEZE, 0)

    def thaw(self) -> None:
        """Let it go on, if it stands still."""
        with suppress(OSError, ClusterError), self._opened() as folder:
            fcntl.ioctl(folder, FITHAW, 0)

    def cut_power(self) -> None:
        """Have it forget what is in memory only; `recover` switches it on again."""
        (self.place / UNSYNCED).write_bytes(b"of this the disk was never told")
        with self._opened() as folder:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))

    def recover(self) -> bool:
        """Switch it on again, as a machine does that starts; whether it has forgotten something."""
        self._unmount()
        self._mount()
        with suppress(FileNotFoundError):
            (self.place / UNSYNCED).unlink()
            return False
        return True

    @contextmanager
    def _opened(self) -> Iterator[int]:
        if not self.place.is_mount():
            raise ClusterError(f"{self.node.name} has no disk of its own. Run `drill heal`.")
        folder = os.open(self.place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield folder
        finally:
            os.close(folder)

    def _mount(self) -> None:
        self.place.mkdir(mode=0o700, exist_ok=True)
        if not self.place.is_mount():
            _run("mount", "-o", "loop", "-t", "ext4", str(self.image), str(self.place))

    def _unmount(self) -> None:
        if self.place.is_mount():
            _run("umount", str(self.place))


def _copy(folder: Path, new: Path) -> None:
    """Copy a folder, owners and all, and wait until the copy is on disk."""
    _run("cp", "-a", str(folder), str(new))
    _run("sync", "-f", str(new))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode != 0:
        why = " ".join(done.stderr.split())
        raise ClusterError(f"`{' '.join(command)}` refuses: {why}. Then run `drill heal`.")

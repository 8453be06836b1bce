"""The folder that a backup is written into: it has its name only once it is whole.

Until then it is `.NAME.partial` beside its place. Folders are 0700, files 0600: they hold the
users' data.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cluster.errors import ClusterError

HOST_FOLDER = "SHARDSTACK_BACKUP"
MOUNT = Path("/backup")
"""Where a container has the folder of the host that SHARDSTACK_BACKUP names."""


@contextlib.contextmanager
def new_backup(place: Path) -> Iterator[Path]:
    """A folder to write a backup into; it gets its name when the block ends well.

    Otherwise it is deleted, and so is one that a killed dump left. Raises ClusterError when there
    is something at the place already, or another dump writes there.
    """
    place = place.absolute()
    if place.exists():
        raise ClusterError(f"{place} exists already. Name a new folder.")
    partial = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(partial):
            try:
                yield partial
                _to_disk(partial)
                partial.rename(place)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        _sync(place.parent)
    except BrokenPipeError:
        raise  # nobody reads what this says
    except OSError as error:
        raise ClusterError(_explained(error, place)) from None


def _explained(error: OSError, place: Path) -> str:
    """What happened to which file, and what to do about it."""
    path = Path(error.filename or place)
    if error.errno in (errno.EACCES, errno.EPERM):
        folder = next(parent for parent in path.parents if parent.is_dir())
        advice = f"Give the folder to the user who writes: {_chown(folder)}; or name another folder"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "Make room, or name another folder"
    else:
        advice = "Name another folder"
    return f"{path}: {error.strerror}. {advice}."


def _chown(folder: Path) -> str:
    """The command that gives a folder to this process's user.

    A folder that is mounted into a container has another name outside, where the command is to be
    run: SHARDSTACK_BACKUP tells that of /backup.
    """
    outside = os.environ.get(HOST_FOLDER, "")
    mounted = folder == MOUNT and "/" in outside  # without a slash, it is the name of a volume
    return f"sudo chown {os.geteuid()} {outside if mounted else folder}"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError(f"another dump writes to {folder}. Name a new folder.") from None
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    finally:
        os.close(handle)


def create(path: Path) -> int:
    """Opens a new file, 0600, its folder made, for writing."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _to_disk(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

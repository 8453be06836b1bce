"""Where the workers of one server keep their metrics: a private directory, gone with the server."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.web.metrics import DIRECTORY

MEMORY = Path("/dev/shm")  # noqa: S108 - the directories in it are made by mkdtemp
NAME = "shardstack-metrics-"
YOUNG = 60.0  # seconds in which a directory may not have its lock yet


@contextmanager
def directory() -> Iterator[Path]:
    """Make it (0700), name it to prometheus_client, and remove it at the end.

    In memory where that is possible: the files are mapped and written at every request. The
    process holds a lock in it, so that the next one can tell what a killed one left behind.
    """
    home = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    _sweep(home)
    made = Path(tempfile.mkdtemp(prefix=NAME, dir=home))
    lock = os.open(made / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.environ[DIRECTORY] = str(made)
    owner = os.getpid()
    try:
        yield made
    finally:
        if os.getpid() == owner:  # workers are forks, and leave through here as well
            shutil.rmtree(made, ignore_errors=True)


def forget(pid: int) -> None:
    """A worker died: what it had in flight is no more; what it had counted stays counted."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _sweep(home: Path) -> None:
    for old in home.glob(f"{NAME}*"):
        try:
            if time.time() - old.stat().st_mtime < YOUNG:
                continue
            lock = os.open(old / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # another user's, or gone
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)

"""Where the workers of one server keep their metrics: a private directory, gone with the server.

The files are mapped into memory, and whoever writes to a mapped page for which there is no room is
killed (SIGBUS). So each worker takes the room for its files before it uses them.
"""

import fcntl
import logging
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
# prometheus_client's names and what a worker needs in each, in bytes: every route with every
# method and kind of status takes 1.1 MiB of the first.
FILES = {"histogram": 2**21, "counter": 2**16, "gauge_livesum": 2**16, "gauge_liveall": 2**16}


@contextmanager
def directory() -> Iterator[Path | None]:
    """Make it (0700), name it to prometheus_client, and remove it at the end.

    In memory where that is possible: the files are mapped and written at every request. The
    process holds a lock in it, so that the next one can tell what a killed one left behind.
    None where there can be none: then each worker counts for itself.
    """
    home = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    _sweep(home)
    try:
        made = Path(tempfile.mkdtemp(prefix=NAME, dir=home))
    except OSError as error:
        no_files(error)
        yield None
        return
    lock = os.open(made / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.environ[DIRECTORY] = str(made)
    owner = os.getpid()
    try:
        yield made
    finally:
        if os.getpid() == owner:  # workers are forks, and leave through here as well
            shutil.rmtree(made, ignore_errors=True)


def reserve() -> None:
    """Take the room for this worker's files, before it makes its metrics."""
    folder = os.environ.get(DIRECTORY)
    files = {f"{folder}/{name}_{os.getpid()}.db": size for name, size in FILES.items()}
    try:
        for name, size in files.items() if folder else ():
            file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, size)
            finally:
                os.close(file)
    except OSError as error:
        for name in files:
            Path(name).unlink(missing_ok=True)
        no_files(error)


def no_files(error: OSError) -> None:
    """This process, and those it forks, count in their own memory."""
    os.environ.pop(DIRECTORY, None)
    from prometheus_client import values  # noqa: PLC0415

    values.ValueClass = values.MutexValue
    logging.getLogger("api").warning(
        "no room for metrics (%s): each worker counts for itself, and /metrics shows one of them",
        error.strerror,
    )


def forget(pid: int) -> None:
    """A worker died: what it had in flight is no more; what it had counted stays counted."""
    if DIRECTORY not in os.environ:
        return
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

"""Private files, written whole or not at all; locks, which end with their process; growing logs."""

from __future__ import annotations

import collections
import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, TypeVar

from console.errors import FileError

T = TypeVar("T")


def write(file: Path, content: str | bytes, mode: int = 0o600) -> None:
    """Writes a whole file or nothing, with `mode` from its first byte. Raises FileError.

    Its folder is made if need be. An interruption leaves the old file or the new one.
    """
    make_folder(file.parent)
    draft = draft_of(file)
    data = content.encode() if isinstance(content, str) else content
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise unwritable(file.parent, error) from None


def draft_of(file: Path) -> Path:
    """Where `write` has the file until it is whole."""
    return file.with_name(f".{file.name}.new")


def read_json(file: Path, shape: type[T]) -> T | None:
    """The JSON of a file; None without the file. FileError when it cannot be read."""
    import msgspec  # noqa: PLC0415 - the stand-in router starts without it

    try:
        return msgspec.json.decode(file.read_bytes(), type=shape)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise FileError(f"{file} cannot be read: {reason}. Repair or remove it.") from None


def make_folder(folder: Path) -> None:
    """Makes a private folder, unless it is there. Raises FileError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise FileError(f"{folder} is not a folder. Give another to --state.") from None
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(folder: Path, error: OSError) -> FileError:
    """The one line for a folder that cannot be written to."""
    if error.errno == errno.ENOSPC:
        return FileError(f"the disk of {folder} is full. Free some space and run it again.")
    return FileError(
        f"{folder} cannot be written to ({error.strerror}). Give access to it, or another folder."
    )


# ---- locks -------------------------------------------------------------------------------------


def try_lock(descriptor: int) -> bool:
    """Takes the lock on an open file, unless another process has it: whether it was taken.

    The lock ends when the last process that has the open file ends or closes it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def locked(file: Path, busy: str) -> Iterator[None]:
    """Holds the lock on a file, which is made if need be. FileError(busy) if another has it."""
    make_folder(file.parent)
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(file.parent, error) from None
    try:
        if not (try_lock(descriptor) and _is(file, descriptor)):
            raise FileError(busy)
        yield
    finally:
        os.close(descriptor)


def _is(file: Path, descriptor: int) -> bool:
    """Whether the open file is still the one in the folder: who held it may have deleted it."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    return False


def holder(file: Path) -> str | None:
    """What a process that holds the lock on the file wrote into it; None when nobody holds it."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        try:
            # Shared, so that two who ask together do not take one another for the holder.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.read(descriptor, 32).decode(errors="replace").strip()
        return None
    finally:
        os.close(descriptor)


# ---- logs --------------------------------------------------------------------------------------

POLL = 0.1  # seconds; a file does not tell when it grows


def read_log(
    log: Path,
    count: int,
    *,
    before: Path | None = None,
    wanted: Callable[[str], bool] = lambda _line: True,
    follow: bool = False,
) -> Generator[str, None, None]:
    """The last wanted lines of a file that grows; with `follow`, then each that is added, for ever.

    `before` is what the file was when it was put aside. A file that is put aside meanwhile is read
    to its end, and then the new one.
    """
    file = _open(log)
    try:
        yield from collections.deque(_lines(before, file, wanted), count)
        rest = ""
        while follow:
            rest += file.readline() if file else ""
            if rest.endswith("\n"):
                if wanted(rest):
                    yield rest.rstrip("\n")
                rest = ""
            elif _moved(log, file):
                # What was written to the old file before it was put aside has been read by now.
                if file:
                    file.close()
                file = _open(log)
            else:
                time.sleep(POLL)
    finally:
        if file:
            file.close()


def _lines(
    before: Path | None, file: IO[str] | None, wanted: Callable[[str], bool]
) -> Iterator[str]:
    old = _open(before) if before else None
    for one in (old, file):
        for line in one or ():
            if wanted(line):
                yield line.rstrip("\n")
    if old:
        old.close()


def _open(path: Path) -> IO[str] | None:
    try:
        return path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _moved(log: Path, file: IO[str] | None) -> bool:
    try:
        there = log.stat()
    except FileNotFoundError:
        return False
    if file is None:
        return True
    return not os.path.samestat(there, os.fstat(file.fileno()))

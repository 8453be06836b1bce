"""Files that are written whole or not at all, and private from the first byte."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from cluster.errors import StateError


def write(file: Path, text: str, mode: int = 0o600) -> None:
    """Writes a whole file or nothing; StateError when the disk is full or forbids it."""
    make_folder(file.parent)
    draft = file.with_name(f".{file.name}.new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise unwritable(file.parent, error) from None


def unwritable(folder: Path, error: OSError) -> StateError:
    """The one line for a folder that cannot be written to."""
    if error.errno == errno.ENOSPC:
        return StateError(f"the disk of {folder} is full. Free some space and run it again.")
    return StateError(
        f"{folder} cannot be written to ({error.strerror}). Give another folder to --state."
    )


def make_folder(folder: Path) -> None:
    """Makes a private folder, unless it is there; StateError when that cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise StateError(f"{folder} is not a folder. Give another to --state.") from None
    except OSError as error:
        raise unwritable(folder, error) from None

"""Private files that are written whole or not at all."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


class LocalError(Exception):
    """Something about this machine's copy is wrong. The message is one line; says what to do."""


def read(path: Path, shape: type[T]) -> T | None:
    """The JSON of a file; None without the file. Raises LocalError when it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise LocalError(f"cannot read {path}: {reason}. Repair or remove it") from None


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LocalError(
            f"cannot write {path}: {error.strerror}. Make room or give access"
        ) from None

"""Errors that are for people to read, as opposed to mistakes in the program.

    ShownError              its text is the whole line, without "error:"
    ├── FileError           a private file or folder cannot be read, made or written
    └── …                   the root of each package: api.errors, cluster.errors

A command prints one line for such an error and ends with its status (`console.terminal.run`). Any
other exception is a fault of ours, and shows its traceback.
"""

from __future__ import annotations

FAILURE, WRONG_USAGE, NOT_RUNNING, INTERRUPTED = 1, 2, 3, 130
"""Exit statuses; 3 is what the Linux Standard Base has for a service that does not run."""


class ShownError(Exception):
    """For the person at the keyboard: what is wrong, where, and what to do. Mostly one line."""

    status = FAILURE
    """What a command ends with."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class FileError(ShownError):
    """A private file or folder cannot be read, made or written."""

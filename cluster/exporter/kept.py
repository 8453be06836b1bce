"""What backups and drills have left in their folders: looked for in the background.

A backup is known by its `cluster.json` (cluster/backup), a drill's run by its `report.json`
(cluster/drill/report), which are read once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

EVERY_SECONDS = 5.0
MOST = 20
"""Backups, and runs of drills, that are told of: the newest."""


class Backup(msgspec.Struct, frozen=True):
    """A whole backup, of the cluster as it was when it was `taken`."""

    taken: datetime
    name: str = ""


class Run(msgspec.Struct, frozen=True):
    """A run of a drill, and its verdict in words."""

    began: datetime
    scenario: str
    title: str
    target: str
    status: int
    says: str
    name: str = ""


@dataclass(frozen=True)
class Kept:
    """What there is, the newest last. `backups` is None where no folder of backups is there."""

    backups: tuple[Backup, ...] | None = None
    runs: tuple[Run, ...] = ()


T = TypeVar("T", bound=msgspec.Struct)


class _Folder(Generic[T]):
    """The documents of one kind in a folder, each read once: they are written whole."""

    def __init__(self, folder: Path | None, kind: type[T], patterns: tuple[str, ...]) -> None:
        self._folder = folder
        self._kind = kind
        self._patterns = patterns
        self._read: dict[tuple[Path, float], T | None] = {}

    def there(self) -> bool:
        """Whether there is such a folder, even if nobody may look into it."""
        return self._folder is not None and self._folder.exists()

    def found(self) -> list[T]:
        """What is in it; what cannot be read, or is none, is left out."""
        newest = sorted(self._files(), key=lambda one: -one[1])[:MOST]
        self._read = {one: self._read.get(one) or self._document(one[0]) for one in newest}
        return [document for document in self._read.values() if document is not None]

    def _files(self) -> Iterator[tuple[Path, float]]:
        if self._folder is None:
            return
        for pattern in self._patterns:
            for file in self._folder.glob(pattern):
                # What is not whole yet has a name that begins with a dot.
                if not file.parent.name.startswith("."):
                    with contextlib.suppress(OSError):  # it has just been deleted
                        yield file, file.stat().st_mtime

    def _document(self, file: Path) -> T | None:
        try:
            read = msgspec.json.decode(file.read_bytes(), type=self._kind)
        except (OSError, msgspec.MsgspecError):
            return None
        return msgspec.structs.replace(read, name=file.parent.name)


class Keeper:
    """Looks into the folders of backups and of drills, either of which may be missing."""

    def __init__(self, backups: Path | None, drills: Path | None) -> None:
        self._backups = _Folder(backups, Backup, ("*/cluster.json",))
        self._runs = _Folder(drills, Run, ("*/report.json", "*/*/report.json"))
        self._ending = threading.Event()
        self.kept = Kept()
        self.look()
        if backups or drills:
            threading.Thread(target=self._run, name="kept", daemon=True).start()

    def look(self) -> None:
        """Look now."""
        backups = sorted(self._backups.found(), key=lambda one: one.taken)[-MOST:]
        runs = sorted(self._runs.found(), key=lambda one: one.began)[-MOST:]
        self.kept = Kept(tuple(backups) if self._backups.there() else None, tuple(runs))

    def close(self) -> None:
        """Look no more."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.wait(EVERY_SECONDS):
            self.look()

"""The state folder of a local cluster: what was made, which ports were chosen, the secrets.

    cluster.json            the topology as started, the shards, the chosen ports
    mongod.conf             how each mongod is set (see cluster.profiles)
    lock                    held by the one command that may change the cluster
    secrets/keyFile         0400, what the servers know one another by
    secrets/users.json      0600, the users' passwords; the connection strings are made from it
    secrets/<user>.uri      0600, one connection string through the routers each
    nodes/<node>/           data/ (a mongod's), log, pid
    api/                    the files of the API that serves from here; its own business

Every file is written whole and then moved into place, so an interruption leaves the old or the
new one, never half of one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.access import Access
from cluster.errors import StateError, TopologyError
from cluster.layout import USERS
from cluster.local.record import Record
from cluster.secrets import Secrets
from console import files
from console.files import write

PARTS = ("nodes", "secrets", "api")
FILES = ("cluster.json", "mongod.conf", "lock")


class State(Secrets):
    """One state folder, its secrets included. Nothing is written before it is needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.record_file = self.folder / "cluster.json"
        self.mongod_conf = self.folder / "mongod.conf"
        self.secrets = self.folder / "secrets"
        super().__init__(self.secrets / "keyFile", self.secrets / "users.json")
        self.nodes = self.folder / "nodes"

    def node(self, name: str) -> Path:
        """The folder of one node."""
        return self.nodes / name

    def made(self) -> bool:
        """Whether a cluster was ever made here, whatever is left of it."""
        return self.record_file.exists() or self.nodes.exists()

    def used(self) -> bool:
        """Whether anything in the folder is ours."""
        return any((self.folder / name).exists() for name in (*PARTS, *FILES))

    def load(self) -> Record | None:
        """The record, None when no cluster was made here; StateError when it is damaged."""
        try:
            values = json.loads(self.record_file.read_bytes())
        except FileNotFoundError:
            if self.nodes.exists() and any(self.nodes.glob("*/data/*")):
                raise StateError(
                    f"{self.record_file} is missing, but {self.nodes} holds data. Put it back, "
                    "or give the data up with `down --purge`."
                ) from None
            return None
        except NotADirectoryError:
            raise StateError(f"{self.folder} is not a folder. Give another to --state.") from None
        except (ValueError, OSError) as error:
            raise self._damaged(str(error)) from None
        return self._parse(values)

    def _parse(self, values: Any) -> Record:
        try:
            return Record.parse(values)
        except TopologyError as error:
            raise self._damaged(error.lines[0]) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from None

    def _damaged(self, why: str) -> StateError:
        return StateError(
            f"{self.record_file} is damaged ({why}). Put back a good copy, "
            "or give the cluster and its data up with `down --purge`."
        )

    def save(self, record: Record) -> None:
        """Remembers the record, and how the mongods are set that are started from now on."""
        write(self.mongod_conf, record.mongod_conf())
        write(self.record_file, json.dumps(record.values(), indent=2) + "\n")

    def check_data(self, record: Record) -> None:
        """StateError when a set that had data has none left on any member."""
        for name in record.complete:
            members = record.member_names(name)
            if not any((self.node(m) / "data" / "WiredTiger").exists() for m in members):
                raise StateError(
                    f"the data of {name} is gone from {self.nodes} (all of {', '.join(members)}). "
                    "Put it back, or give the cluster up with `down --purge`."
                )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder's lock, which goes with the process however it ends."""
        busy = f"another command is at work in {self.folder}. Wait until it has ended."
        with files.locked(self.folder / "lock", busy):
            yield

    # ---- secrets ------------------------------------------------------------------------------

    def access(self, record: Record) -> Access:
        """What it takes to reach the servers of the cluster that `record` describes."""
        return Access(record.layout(), self.key(), self.passwords()[0])

    def write_uris(self, record: Record) -> None:
        """Writes each user's connection string through all routers."""
        access = self.access(record)
        for user in USERS:
            uri = f"{access.uri(user)}\n"
            file = self.secrets / f"{user}.uri"
            if not file.exists() or file.read_text() != uri:
                write(file, uri)

    def uri(self, user: str) -> str:
        """A user's connection string; StateError before the first `up`."""
        try:
            return (self.secrets / f"{user}.uri").read_text().strip()
        except FileNotFoundError:
            raise StateError(f"there is no cluster in {self.folder}. Make one with `up`.") from None

    def assert_unused(self) -> None:
        """StateError while somebody else works with a part of the folder, told by the lock held."""
        for path in sorted(self.folder.glob("*/*.lock")):
            if files.holder(path) is not None:
                raise StateError(
                    f"{path} is held: {path.parent.name} still works in {self.folder}. Stop it "
                    f"first (`python -m {path.parent.name} down`)."
                )

    def purge(self) -> list[str]:
        """Deletes all that was made here; returns the names of what others keep in the folder.

        It may be interrupted and repeated. Raises StateError when something cannot be deleted.
        """
        try:
            for name in PARTS:
                if (self.folder / name).exists():
                    shutil.rmtree(self.folder / name)
            for name in FILES:
                (self.folder / name).unlink(missing_ok=True)
                files.draft_of(self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{error.filename} cannot be deleted ({error.strerror}). Solve that, and run it "
                "again."
            ) from None
        left = sorted(path.name for path in self.folder.iterdir())
        if not left:
            with contextlib.suppress(OSError):  # where a file system is mounted, say
                self.folder.rmdir()
        return left

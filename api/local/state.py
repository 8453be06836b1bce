"""The API's part of the state folder.

<state>/secrets/app.uri     the cluster's: how to reach it (read only)
<state>/api/jwt.key         signs tokens, 0600
<state>/api/admin.json      {"email", "password"} of the administrator made first, 0600
<state>/api/server.json     chosen port, and what the running server was started with
<state>/api/server.lock     locked by the server's processes for as long as one of them lives;
                            holds the master's process id; .next, .last: of the one that replaces
                            it, and of the one that it replaced
<state>/api/door            by which the running server hands its port to the next one
<state>/api/up.lock         held by the one `up` or `down` at work
<state>/api/log, log.1      the server's output, and what came before it
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from api.files import LocalError, read, write_private
from api.terminal import python


class Record(msgspec.Struct, kw_only=True):
    """What server.json remembers. `samples` were loaded into the database of `uri_print`."""

    port: int | None = None
    fingerprint: str = ""
    code: str = ""
    samples: int = 0
    uri_print: str = ""


class State:
    """The files, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api = folder / "api"
        self.uri = folder / "secrets" / "app.uri"
        self.jwt = self.api / "jwt.key"
        self.admin_file = self.api / "admin.json"
        self.record_file = self.api / "server.json"
        self.server_lock = self.api / "server.lock"
        self.door = self.api / "door"
        self.log = self.api / "log"

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """`base`, and the files here for what it does not name."""
        found = dict(base)
        for name, path in (("DATABASE_URI", self.uri), ("JWT_SECRET", self.jwt)):
            variable = f"SHARDSTACK_{name}"
            if variable not in found and f"{variable}_FILE" not in found and path.exists():
                found[f"{variable}_FILE"] = str(path.resolve())
        return found

    def assert_cluster(self, base: Mapping[str, str]) -> None:
        """LocalError where neither `base` nor a cluster in this folder names a database."""
        found = self.environment(base)
        if not any(f"SHARDSTACK_DATABASE_URI{end}" in found for end in ("", "_FILE")):
            raise LocalError(
                f"there is no cluster in {self.folder}. Start one: {python()} -m cluster up, "
                "or name its folder with --state"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one command at a time may start or stop the server. Raises LocalError."""
        try:
            self.api.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.api / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalError(
                f"cannot use the state folder {self.folder}: {error.strerror}. "
                "Give another with --state"
            ) from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalError(
                    f"another api command is at work in {self.folder}. Wait for it to end"
                ) from None
            yield
        finally:
            os.close(lock)

    def record(self) -> Record:
        """What is remembered; nothing at first. Raises LocalError for a damaged file."""
        return read(self.record_file, Record) or Record()

    def remember(self, record: Record) -> None:
        """Keep it."""
        write_private(self.record_file, msgspec.json.encode(record))

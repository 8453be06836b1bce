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

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from api.errors import LocalError
from console import files
from console.terminal import python


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
        """Only one command at a time may start or stop the server. Raises FileError."""
        busy = f"another api command is at work in {self.folder}. Wait for it to end."
        with files.locked(self.api / "up.lock", busy):
            yield

    def record(self) -> Record:
        """What is remembered; nothing at first. Raises FileError for a damaged one."""
        return files.read_json(self.record_file, Record) or Record()

    def remember(self, record: Record) -> None:
        """Keep it."""
        files.write(self.record_file, msgspec.json.encode(record))

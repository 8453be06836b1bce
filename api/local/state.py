"""The API's part of the state folder, and what commands open with it: the settings, the database.

<state>/secrets/app.uri     the cluster's: how to reach it (read only)
<state>/exporter/url        the cluster's: where it is watched (read only)
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

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from api.errors import ApiError, LocalError
from console import Report, files
from console.terminal import Stopwatch, python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.settings import Settings
    from api.store import Store
import hashlib
import sysconfig
from collections.abc import Iterator
from contextlib import suppress

import api
import console


class Record(msgspec.Struct, kw_only=True):
    """What server.json remembers. `samples` were loaded into the database of `uri_print`."""

    port: int | None = None
    fingerprint: str = ""
    code: str = ""
    samples: int = 0
    uri_print: str = ""


class StateFolder:
    """The files, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api = folder / "api"
        self.uri = folder / "secrets" / "app.uri"
        self.exporter = folder / "exporter" / "url"
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
        if "SHARDSTACK_CLUSTER_URL" not in found and self.exporter.exists():
            found["SHARDSTACK_CLUSTER_URL"] = self.exporter.read_text().strip()
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


COMMAND_SECONDS = 120.0  # for the database work of one command
WAIT_SECONDS = 7.0  # for the database to be there; a failover takes two
SAY_SECONDS = 2.0

# What the help of a command says of the environment.
ALL_SETTINGS = (
    "Environment: it reads every setting (SHARDSTACK_…); `python -m api settings` lists them."
)
DATABASE_SETTINGS = (
    "Environment: it reads SHARDSTACK_DATABASE_URI (or …_FILE), else the state folder, and checks "
    "every other setting; `python -m api settings` lists them."
)


def settings_of(state: str, *, tokens: bool) -> "Settings":
    """The settings; `tokens`: whether the command makes or checks tokens."""
    from api.settings import loading  # noqa: PLC0415

    environment = StateFolder(Path(state)).environment(os.environ)
    if "database_uri" not in loading.check(environment):
        raise LocalError(
            f"SHARDSTACK_DATABASE_URI is not set, and there is no cluster in {state}. "
            f"Start one: {python()} -m cluster up, or name its folder with --state"
        )
    return loading.load(environment, tokens=tokens)


@contextmanager
def store_of(state: str) -> "Iterator[Store]":
    """The database, within the time that a command has. Raises LocalError when it is not there."""
    watch = Stopwatch(to_errors=True)
    with opened(settings_of(state, tokens=False), watch.say) as store:
        yield store


@contextmanager
def opened(settings: "Settings", say: Report) -> "Iterator[Store]":
    """The database of these settings, within the time that a command has.

    `say` hears that it is waited for. Raises LocalError when it is not there.

    What the driver raises becomes an ApiError: it is the database's fault and not the program's.
    """
    from pymongo.errors import PyMongoError  # noqa: PLC0415 - start-up time counts

    from api.store import Store, UnavailableError  # noqa: PLC0415
    from api.store.deadline import deadline  # noqa: PLC0415

    store = Store(settings.store_options())
    try:
        _wait_for(store, say)
        with deadline(COMMAND_SECONDS):
            yield store
    except UnavailableError:
        raise LocalError(
            f"the database stopped answering ({_routers(store)}), and what was under way is not "
            f"finished. Look at it: {python()} -m cluster status; run the same command again"
        ) from None
    except PyMongoError as error:
        raise ApiError(str(error)) from error
    finally:
        store.close()


def _wait_for(store: "Store", say: Report) -> None:
    from api.store import UnavailableError, client  # noqa: PLC0415
    from api.store.deadline import deadline  # noqa: PLC0415

    began = time.monotonic()
    while (waited := time.monotonic() - began) < WAIT_SECONDS:
        try:
            with deadline(min(SAY_SECONDS, WAIT_SECONDS - waited)):
                return client.probe_reads(store)
        except UnavailableError:
            say(f"waiting for the database ({_routers(store)})")
    answer = "the routers answer, but no shard does" if store.reachable() else "nobody answers"
    raise LocalError(
        f"the database is not there: {answer} after {WAIT_SECONDS:.0f} s at {_routers(store)}. "
        "Start it, or make it whole: make up"
    )


def _routers(store: "Store") -> str:
    """Their addresses, without the password that is beside them."""
    from pymongo.uri_parser import parse_uri  # noqa: PLC0415

    nodes = parse_uri(store.options.uri)["nodelist"]
    return ", ".join(f"{host}:{port}" for host, port in nodes)


FOLDERS = (Path(api.__file__).parent, Path(console.__file__).parent)
"""Of the packages that a server is made of."""


def fingerprint() -> str:
    """Changes with every program and data file of the server, and with what is installed.

    A file that vanishes while it is looked at counts as gone.
    """
    found = hashlib.sha256()
    for root in FOLDERS:
        for path in _files(root):
            with suppress(OSError):
                content = path.read_bytes()
                found.update(f"{path.relative_to(root.parent)}\0".encode() + content)
    # Distributions have their version in a folder's name.
    installed = Path(sysconfig.get_path("purelib")).glob("*.dist-info")
    found.update("\0".join(sorted(folder.name for folder in installed)).encode())
    return found.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    """The files of a package, in a fixed order.

    Left out are files that appear beside the code while it runs or is edited: those of editors, and
    Python's caches, which are named `x.cpython-311.pyc.<number>` until they are whole.
    """
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if one != "__pycache__" and one[0] != ".")
        for name in sorted(names):
            path = Path(folder, name)
            if name[0] not in ".#" and not name.endswith(("~", ".md")) and path.is_file():
                yield path

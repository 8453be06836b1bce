"""`python -m api up`: from a cluster to a running API with an administrator and samples.

Everything here can be repeated at any moment, also after an interruption anywhere in between:
secrets are written before they are used, documents are claimed before they are made, and the
server is found by the lock it holds.
"""

import hashlib
import os
import time
from collections.abc import Callable

import msgspec

from api import settings, setup
from api.local.server import FIRST_PORT, BackgroundServer
from api.local.state import Record, StateFolder, fingerprint, opened
from api.samples.loading import Loaded, Loader, total
from api.setup import Admin
from api.store import Store
from console.ports import HOST
from console.terminal import Stopwatch

ACCEPTING_SECONDS = 60.0
READY_SECONDS = 20.0


class Outcome(msgspec.Struct, kw_only=True):
    """What to tell at the end."""

    url: str
    router: str
    pid: int
    started: bool
    admin: Admin
    admin_made: bool
    samples: Loaded | None
    seconds: float


class Up:
    """One run of `up`. `progress` makes what counts the samples."""

    def __init__(self, state: StateFolder, watch: Stopwatch) -> None:
        self._state = state
        self._watch = watch
        self._server = BackgroundServer(state)
        self._code = ""  # of the server that was begun

    def run(
        self,
        port: int | None,
        sample_count: int,
        progress: Callable[[int], Callable[[int], None] | None],
        *,
        restart: bool = False,
    ) -> Outcome:
        """Bring it up. What cannot be brought up whole is not left running; what ran before is.

        `restart`: also replace a server that is as it should be. Raises ApiError, FileError.
        """
        began = time.monotonic()
        setup.ensure_jwt_secret(self._state.jwt)
        record = self._state.record()
        environment = self._state.environment(os.environ)
        asked = port or _number(environment.get("SHARDSTACK_PORT"))
        self._server.tidy()
        conf = self._settings(environment, asked or record.port or FIRST_PORT)
        with opened(conf, self._watch.say) as store:
            why = "restarting it" if restart else self._why(environment, record, asked)
            try:
                # Its workers load while the database is prepared.
                chosen = self._begin(environment, record, asked) if why else record.port
                assert chosen is not None  # noqa: S101 - a running server has one
                admin, made = setup.prepare(
                    store, self._state.admin_file, self._watch.say, self._watch.timed
                )
                report = self._load_samples(store, record, conf, sample_count, progress)
                if why:
                    with self._watch.timed(why):
                        self._server.complete(ACCEPTING_SECONDS)
                    self._remember(environment, record, chosen)
            except BaseException:
                self._server.give_up()
                raise
        with self._watch.timed("server ready"):
            ready = self._server.wait_ready(chosen, READY_SECONDS)
        return Outcome(
            url=f"http://{HOST}:{chosen}",
            router=ready.get("router", "unknown"),
            pid=self._server.pid() or 0,
            started=bool(why),
            admin=admin,
            admin_made=made,
            samples=report,
            seconds=time.monotonic() - began,
        )

    def _why(self, environment: dict[str, str], record: Record, asked: int | None) -> str:
        """Why a server has to be started, in words for people; empty when it has not."""
        if self._server.pid() is None:
            return "server started"
        if record.port is None or asked not in (None, record.port):
            return "the server listened on another port; replaced it"
        if not self._server.master_lives():
            return "the server had lost its master; replaced it"
        if self._settings(environment, record.port).fingerprint() != record.fingerprint:
            return "the server ran with other settings; replaced it"
        if record.code != fingerprint():
            return "the server ran older code; replaced it"
        return ""

    def _begin(self, environment: dict[str, str], record: Record, asked: int | None) -> int:
        self._code = fingerprint()
        return self._server.begin(environment, asked, record)

    def _remember(self, environment: dict[str, str], record: Record, port: int) -> None:
        record.port, record.code = port, self._code
        record.fingerprint = self._settings(environment, port).fingerprint()
        self._state.remember(record)

    def _settings(self, environment: dict[str, str], port: int) -> settings.Settings:
        environment |= {"SHARDSTACK_HOST": HOST, "SHARDSTACK_PORT": str(port)}
        environment |= {"SHARDSTACK_LOG_FILE": str(self._state.log.absolute())}
        return settings.load(environment)

    def _load_samples(
        self,
        store: Store,
        record: Record,
        conf: settings.Settings,
        count: int,
        progress: Callable[[int], Callable[[int], None] | None],
    ) -> Loaded | None:
        """Once per database: samples that were deleted since do not come back."""
        uri_print = hashlib.sha256(conf.database_uri.encode()).hexdigest()
        if record.uri_print == uri_print and record.samples >= count:
            return None
        with self._watch.timed("samples loaded"):
            loaded = Loader(store).load(count, progress(total(count)))
        record.uri_print, record.samples = uri_print, count
        self._state.remember(record)
        return loaded


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

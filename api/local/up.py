"""`python -m api up`: from a cluster to a running API with an administrator and sample users.

Everything here can be repeated at any moment, also after an interruption anywhere in between:
secrets are written before they are used, documents are claimed before they are made, and the
server is found by the lock it holds.
"""

import hashlib
import os
import time
from collections.abc import Callable

import msgspec

from api import samples, settings, setup
from api.files import LocalError
from api.local.server import HOST, Server, choose_port
from api.local.state import Record, State
from api.setup import Admin
from api.store import BulkReport, Store
from api.store.deadline import deadline
from api.terminal import Narrator, python

READY_SECONDS = 20.0
DATABASE_SECONDS = 60.0  # for all that is done to the database; a failover may fall in


class Outcome(msgspec.Struct, kw_only=True):
    """What to tell at the end."""

    url: str
    router: str
    pid: int
    started: bool
    admin: Admin
    admin_made: bool
    samples: BulkReport | None
    seconds: float


class Up:
    """One run of `up`. `progress` makes what counts the sample users."""

    def __init__(self, state: State, narrator: Narrator) -> None:
        self._state = state
        self._narrator = narrator
        self._server = Server(state)

    def run(
        self,
        port: int | None,
        sample_count: int,
        progress: Callable[[int], Callable[[int], None] | None],
    ) -> Outcome:
        """Bring it up. Raises LocalError, SettingsError, SchemaError, StoreError."""
        began = time.monotonic()
        setup.ensure_jwt_secret(self._state.jwt)
        record = self._state.record()
        environment = self._state.environment(os.environ)
        asked = port or _number(environment.get("SHARDSTACK_PORT"))
        chosen, conf, started = self._start(environment, record, asked)

        # The server's workers load while the database is prepared.
        store = Store(conf.store_options())
        try:
            with deadline(DATABASE_SECONDS):
                admin, made = setup.prepare(
                    store, self._state.admin_file, self._narrator.say, self._narrator.timed
                )
                report = self._load_samples(store, record, conf, sample_count, progress)
        finally:
            store.close()
        with self._narrator.timed("server ready"):
            ready = self._server.wait_ready(chosen, READY_SECONDS)
        return Outcome(
            url=f"http://{HOST}:{chosen}",
            router=ready.get("router", "unknown"),
            pid=self._server.pid() or 0,
            started=started,
            admin=admin,
            admin_made=made,
            samples=report,
            seconds=time.monotonic() - began,
        )

    def _start(
        self, environment: dict[str, str], record: Record, asked: int | None
    ) -> tuple[int, settings.Settings, bool]:
        """See that the server runs with today's settings: port, settings, started or not."""
        running = self._server.pid() is not None
        if running and asked in (None, record.port) and record.port is not None:
            conf = self._settings(environment, record.port)
            if conf.fingerprint() == record.fingerprint and self._server.master_lives():
                return record.port, conf, False
        if running:
            self._narrator.say(
                "the server runs with other settings, or has lost its master: starting anew"
            )
            self._server.stop(8)
        chosen = choose_port(asked, record.port)
        conf = self._settings(environment, chosen)
        record.port, record.fingerprint = chosen, conf.fingerprint()
        self._state.remember(record)
        with self._narrator.timed("server started"):
            self._server.start(environment)
        return chosen, conf, True

    def _settings(self, environment: dict[str, str], port: int) -> settings.Settings:
        environment |= {"SHARDSTACK_HOST": HOST, "SHARDSTACK_PORT": str(port)}
        if not any(f"SHARDSTACK_DATABASE_URI{end}" in environment for end in ("", "_FILE")):
            raise LocalError(
                f"there is no cluster in {self._state.folder}. Start one: {python()} -m cluster up"
            )
        return settings.load(environment)

    def _load_samples(
        self,
        store: Store,
        record: Record,
        conf: settings.Settings,
        count: int,
        progress: Callable[[int], Callable[[int], None] | None],
    ) -> BulkReport | None:
        """Once per database: sample users that were deleted since do not come back."""
        uri_print = hashlib.sha256(conf.database_uri.encode()).hexdigest()
        if record.uri_print == uri_print and record.samples >= count:
            return None
        with self._narrator.timed("sample users loaded"):
            report = samples.load(store, count, progress(count))
        record.uri_print, record.samples = uri_print, count
        self._state.remember(record)
        return report


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

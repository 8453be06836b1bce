"""Brings what a worker has counted into the database, once a minute and at its end.

No request waits for it: requests are counted in memory (`Usage`, web/metrics.py), a thread adds the
counts to the day's document. What a worker that is killed had not brought is lost, at most a
minute's; so is what cannot be written within LAST_SECONDS at its end. An addition whose answer was
lost is sent again under its id, and counts once (store/analytics.py).
"""

import random
import threading
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from api.analytics import sketch
from api.settings import Settings
from api.store import Store, UnavailableError
from api.store.analytics import Addition, add
from api.store.deadline import deadline
from api.web.metrics import Usage
from api.web.problems import log
from api.web.signing import Signing

EVERY = 60.0  # seconds
LAST_SECONDS = 1.0  # that a worker takes for it at its end
KINDS = {4: "client_errors", 5: "server_errors"}
EPOCH = date(1970, 1, 1).toordinal()


class Rollups:
    """Of one worker."""

    def __init__(self, store: Store, settings: Settings, usage: Usage) -> None:
        self._store = store
        self._seconds = settings.request_deadline
        self._retention = timedelta(seconds=settings.analytics_retention)
        self._signing = Signing(settings.signing_secrets, "analytics")
        self._usage = usage
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._fresh: dict[date, Addition] = {}  # never sent
        self._sent: dict[date, Addition] = {}  # perhaps added already: sent again as they are

    def start(self) -> None:
        """Begin, in a thread of its own."""
        threading.Thread(target=self._run, name="analytics", daemon=True).start()

    def stop(self) -> None:
        """The worker ends."""
        self._ended.set()
        self._try(LAST_SECONDS)

    def flush(self, seconds: float) -> None:
        """Add all that was counted. Raises UnavailableError: the rest waits for the next time."""
        if not self._lock.acquire(timeout=seconds):
            raise UnavailableError("the thread still waits for the database")
        try:
            with deadline(seconds):
                self._collect()
                self._send()
        finally:
            self._lock.release()

    def _send(self) -> None:
        for day in sorted({*self._sent, *self._fresh}):
            while one := self._sent.get(day) or self._fresh.pop(day, None):
                self._sent[day] = one
                ends = datetime.combine(day, time(tzinfo=UTC)) + self._retention
                add(self._store, one, ends)
                del self._sent[day]

    def _run(self) -> None:
        # Not all workers at the same moment.
        wait = random.uniform(0, EVERY)  # noqa: S311 - no secret
        while not self._ended.wait(wait):
            wait = EVERY
            self._try(self._seconds)

    def _try(self, seconds: float) -> None:
        try:
            self.flush(seconds)
        except UnavailableError as error:
            log.warning("analytics wait", reason=str(error))
        except Exception:  # noqa: BLE001 - the next minute may go well; requests go on anyway
            log.exception("analytics")

    def _collect(self) -> None:
        counts, users = self._usage.take()
        for (number, endpoint, kind), count in counts.items():
            found = self._of(number).counts
            name = endpoint.replace(".", "/")  # a dot would lead into an object
            found[f"{name}.requests"] += count
            if kind in KINDS:
                found[f"{name}.{KINDS[kind]}"] += count
        for number, who in users.items():
            one = self._of(number)
            hashes = (self._signing.macs(f"{number} {user}".encode())[0] for user in who)
            one.registers = sketch.together(one.registers, sketch.registers(hashes))

    def _of(self, number: int) -> Addition:
        day = date.fromordinal(number + EPOCH)
        return self._fresh.setdefault(day, Addition(day=day))


def counted(document: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The counts of a day, by endpoint."""
    routes = document.get("routes", {}).items()
    return {name.replace("/", "."): counts for name, counts in routes}

"""Liveness and readiness, for load balancers and people.

`/healthz`: this process answers; touches no database. `/readyz`: send traffic here; 503 while the
database is away or this server is about to stop. Many may ask it every second: what it knows of
the database is looked up by threads of its own, at most once a second, and only when asked for.
"""

import mmap
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

from flask import Blueprint, Response
from msgspec import Struct

from api.web import logs, metrics
from api.web.body import reply
from api.web.languages import say
from api.web.operations import Answer, operation
from api.web.problems import ProblemError, log

FRESH = 1.0  # seconds; what is known for longer is looked up again
# Seconds without a read after which the database is down. Longer than a failover: else the replicas
# of the API would all be taken out of service for one that their requests wait for.
GOOD = 5.0
PATIENCE = 1.0  # seconds that a probe waits for a look that has just begun
# Together, because one may meet a shard without a primary, or a router that stands still.
LOOKS = 3
LOOK_SECONDS = 4.0
KNOWN = 60.0  # seconds for which a router's answer to who it is holds


class Alive(Struct):
    """The answer of a process that lives."""

    status: Literal["ok"]


class Ready(Struct):
    """The answer of a process that can serve.

    `router` tells which program leads to the shards. `writes` are "waiting" when no write has been
    acknowledged by every shard for 5 s: one has no majority, or is locked. What all workers could
    not write down: `log_lines_lost`, and why (`log_fault`, null when writing goes well again), and
    `metrics_lost`, requests that are in no metric.
    """

    status: Literal["ready"]
    router: str
    writes: Literal["acknowledged", "waiting"]
    log_lines_lost: int
    log_fault: str | None
    metrics_lost: int


class Draining:
    """A flag shared by the server's master and its workers: one byte of memory across the fork."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 1)

    def begin(self) -> None:
        """Readiness is 503 from now on."""
        self._shared[0] = 1

    def __bool__(self) -> bool:
        return self._shared[0] == 1


def router_name(build: dict[str, Any], hello: dict[str, Any]) -> str:
    """Which program serves us, from its buildInfo and hello."""
    version = build.get("version", "of unknown version")
    if build.get("router") == "stand-in":
        return f"stand-in router (MongoDB {version})"
    if hello.get("msg") == "isdbgrid":
        return f"mongos {version}"
    return f"no router (mongod {version})"


def not_ready(detail: str, kind: str) -> ProblemError:
    """503: send traffic elsewhere for a moment."""
    return ProblemError(503, detail, kind=kind, headers={"Retry-After": "2"})


NO_SHARD = "The routers answer; no shard has answered a majority read in the last {seconds} s."
NO_ROUTER = "No router has answered a majority read in the last {seconds} s."


class Outlook:
    """What one process knows of the database: asked for by many, looked up by few.

    read        reads from some shard; raises when it cannot
    identify    asks a router who it is; raises when it cannot
    bounded     bounds what runs in it by seconds
    """

    def __init__(
        self,
        read: Callable[[], None],
        identify: Callable[[], str],
        bounded: Callable[[float], AbstractContextManager[None]],
    ) -> None:
        self._read, self._identify, self._bounded = read, identify, bounded
        self._changed = threading.Condition()
        self._looking = 0  # looks at work
        self._began = -GOOD
        self._good = float("-inf")  # when a read last worked
        self._router, self._named = "a router", float("-inf")  # none has said yet which

    def router(self) -> str | None:
        """Who leads to the shards; None when no read has worked for GOOD seconds."""
        with self._changed:
            now = time.monotonic()
            if not self._looking and now - self._began > FRESH:
                self._began, self._looking = now, LOOKS
                for _ in range(LOOKS):
                    threading.Thread(target=self._look, name="readiness", daemon=True).start()
            patience = max(0.0, self._began + PATIENCE - now)
            self._changed.wait_for(lambda: self._is_good() or not self._looking, patience)
            return self._router if self._is_good() else None

    def _is_good(self) -> bool:
        return time.monotonic() - self._good < GOOD

    def _look(self) -> None:
        good = False
        try:
            with self._bounded(LOOK_SECONDS):
                self._read()
                good = True
                if time.monotonic() - self._named > KNOWN:
                    self._router, self._named = self._identify(), time.monotonic()
        except Exception as error:  # noqa: BLE001 - whatever it is, the database was not read
            log.debug("no majority read", reason=f"{type(error).__name__}: {error}")
        with self._changed:
            self._looking -= 1
            if good:
                self._good = time.monotonic()
            self._changed.notify_all()


def blueprint(
    outlook: Outlook, writing: Outlook, draining: Draining, reachable: Callable[[], bool]
) -> Blueprint:
    """The two routes. `writing` is an outlook on writes; `reachable`: a router answered lately."""
    health = Blueprint("health", __name__)

    @health.get("/healthz")
    @operation(answers={200: Answer(shape=Alive)}, probe=True)
    def alive() -> Response:
        """This process answers."""
        return reply(Alive("ok"))

    @health.get("/readyz")
    @operation(answers={200: Answer(shape=Ready)}, problems=(503,), probe=True)
    def ready() -> Response:
        """This process can serve requests: a shard has answered a majority read lately."""
        if draining:
            raise not_ready("This server is about to stop.", "draining")
        router = outlook.router()
        if router is None:
            detail = say(NO_SHARD if reachable() else NO_ROUTER, seconds=f"{GOOD:.0f}")
            raise not_ready(detail, "unavailable")
        lost, fault = int(logs.writer.lost), logs.writer.fault or None
        writes: Literal["acknowledged", "waiting"] = (
            "acknowledged" if writing.router() is not None else "waiting"
        )
        return reply(Ready("ready", router, writes, lost, fault, int(metrics.lost)))

    return health

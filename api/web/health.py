"""Liveness and readiness, for load balancers and people.

`/healthz`: this process answers; touches no database. `/readyz`: send traffic here; 503 while the
database is away or this server is about to stop.
"""

import mmap
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

from flask import Blueprint, Response
from msgspec import Struct

from api.web.body import reply
from api.web.operations import Answer, operation
from api.web.problems import ProblemError

PING_SECONDS = 1.0


class Alive(Struct):
    """The answer of a process that lives."""

    status: Literal["ok"]


class Ready(Struct):
    """The answer of a process that can serve. `router` tells which program leads to the shards."""

    status: Literal["ready"]
    router: str


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


def blueprint(
    identify: Callable[[], str],
    bounded: Callable[[float], AbstractContextManager[None]],
    draining: Draining,
    away: type[Exception],
) -> Blueprint:
    """The two routes. `identify` asks the database which router serves; raises `away`."""
    health = Blueprint("health", __name__)

    @health.get("/healthz")
    @operation(answers={200: Answer(shape=Alive)})
    def alive() -> Response:
        """This process answers."""
        return reply(Alive("ok"))

    @health.get("/readyz")
    @operation(answers={200: Answer(shape=Ready)}, problems=(503,))
    def ready() -> Response:
        """This process can serve requests."""
        if draining:
            raise not_ready("This server is about to stop.", "draining")
        try:
            with bounded(PING_SECONDS):
                return reply(Ready("ready", identify()))
        except away:
            raise not_ready("The database does not answer.", "unavailable") from None

    return health

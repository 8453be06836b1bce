"""What the server must know of a request before a thread works on it: read off its operation."""

from collections.abc import Callable
from enum import Enum

import msgspec
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from api.web import operations


class LaneName(Enum):
    """Whom a request shares its threads with."""

    USUAL = "usual"
    SLOW = "slow"  # it sends or fetches much, as fast as its client can
    PROBE = "probe"  # whoever watches the server: never behind consumers


class Admission(msgspec.Struct, frozen=True):
    """How a request is taken.

    lane        whose threads work on it
    body_limit  bytes
    seconds     its deadline
    streamed    whether its body is read while it arrives
    """

    lane: LaneName
    body_limit: int
    seconds: float
    streamed: bool


Admit = Callable[[str, str], Admission]


def admissions(app: Flask, body_limit: int, seconds: float) -> Admit:
    """A function of method and path. `body_limit` and `seconds` are the usual ones."""
    usual = Admission(LaneName.USUAL, body_limit, seconds, False)
    known: dict[str, Admission] = {}
    for endpoint, view in app.view_functions.items():
        found = operations.of(view)
        if found is None:
            continue
        slow = found.deadline is not None
        lane = LaneName.PROBE if found.probe else LaneName.SLOW if slow else LaneName.USUAL
        known[endpoint] = Admission(
            lane, found.body_limit or body_limit, found.deadline or seconds, found.streamed
        )
    routes = app.url_map.bind("localhost")

    def admit(method: str, path: str) -> Admission:
        try:
            endpoint, _ = routes.match(path.encode("latin-1").decode(errors="replace"), method)
        except (HTTPException, RequestRedirect):
            return usual  # the app says what is wrong with it
        return known.get(endpoint, usual)

    return admit

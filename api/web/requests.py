"""What every request and response gets: an id, a deadline, a log line, security headers."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from secrets import token_hex
from typing import Any

import structlog
from flask import Flask, Response, g, request

from api.web import operations

log = structlog.get_logger("api")

HEADER = "X-Request-Id"
ACCEPTABLE = re.compile(r"[A-Za-z0-9_.-]{8,64}").fullmatch

# An API answers with data for programs: nothing to sniff, frame, cache or leak a referrer from.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

QUIET = frozenset({"/healthz", "/readyz"})  # probes come every few seconds; log them only failing


Bounded = Callable[[float], AbstractContextManager[None]]  # bounds what runs in it by seconds


def bound(app: Flask, bounded: Bounded, usual: float) -> None:
    """Run each request, its authentication too, within one deadline; a streamed answer as well.

    An operation may declare a deadline of its own, for files and bulk.
    """
    dispatch = app.full_dispatch_request

    def dispatch_bounded() -> Response:
        found = operations.of(app.view_functions.get(request.endpoint or ""))
        seconds = usual if found is None or found.deadline is None else found.deadline
        ends = time.monotonic() + seconds
        with bounded(seconds):
            response: Response = dispatch()
        if response.is_streamed:
            # Its parts are made while the server sends them, after this function has returned.
            parts = response.response
            response.response = _within(parts, bounded, ends)
            if hasattr(parts, "close"):
                response.call_on_close(parts.close)
        return response

    app.full_dispatch_request = dispatch_bounded  # type: ignore[method-assign]


def _within(parts: Iterable[Any], bounded: Bounded, ends: float) -> Iterator[Any]:
    with bounded(max(0.0, ends - time.monotonic())):
        yield from parts


def install(app: Flask, bounded: Bounded, usual: float) -> None:
    """Put all of it on the app. `usual`: seconds a request has, unless its operation says so."""
    bound(app, bounded, usual)

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        given = request.headers.get(HEADER, "")
        # An id from outside ends up in our log: only harmless characters.
        g.request_id = given if ACCEPTABLE(given) else token_hex(8)

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers[HEADER] = g.request_id
        if request.path not in QUIET or response.status_code >= 400:
            log.info("request", **describe(response))
        return response


def describe(response: Response) -> dict[str, Any]:
    """The log line of a request. The route, not the path: paths and query strings hold values."""
    return {
        "request_id": g.request_id,
        "method": request.method,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        "ms": round((time.perf_counter() - g.began) * 1000, 2),
        "user": g.get("user_id"),
    }

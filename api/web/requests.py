"""What every request and response gets: an id, a deadline, a log line, security headers."""

import re
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from flask import Flask, Response, g, request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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


class Bounded(Protocol):
    """Makes the context that bounds one request."""

    def __call__(self) -> AbstractContextManager[None]: ...


class DeadlineMiddleware:
    """Runs the whole request, its authentication too, within one deadline."""

    def __init__(self, app: "WSGIApplication", bounded: Bounded) -> None:
        self._app = app
        self._bounded = bounded

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        with self._bounded():
            return self._app(environ, start)


def install(app: Flask, bounded: Bounded) -> None:
    """Put all of it on the app."""
    app.wsgi_app = DeadlineMiddleware(app.wsgi_app, bounded)  # type: ignore[assignment,method-assign]

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

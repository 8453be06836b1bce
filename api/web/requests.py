"""What each request and response gets: id, deadline, metrics, log line, security headers."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, g, request

from api.web import logs, operations, queries
from api.web.languages import say
from api.web.metrics import Meter, Tally
from api.web.problems import ProblemError
from api.web.push import Pushed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-Id"
# In the WSGI environment:
REQUEST_ID = "shardstack.request_id"
ARRIVED = "shardstack.arrived"  # by time.perf_counter, when the request was whole
ACCEPTABLE = re.compile(r"[A-Za-z0-9_.-]{8,64}").fullmatch

# An API answers with data for programs: nothing to sniff, frame, cache or leak a referrer from.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

# Probes and scrapes come every few seconds: logged only when they fail.
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger("api")

Bounded = Callable[[float], AbstractContextManager[None]]  # bounds what runs in it by seconds


class Requests:
    """Runs each request within one deadline, its authentication too, and reports it at its end.

    The deadline counts from the request's arrival: when its last byte was here or, where its body
    is streamed, its head. How long a client takes to send it, other bounds see to (api/serving).

    bounded   makes the context that bounds what runs in it
    usual     seconds a request has, unless its operation declares others
    begin     starts the tally of what the database costs
    """

    def __init__(
        self, bounded: Bounded, usual: float, begin: Callable[[], Tally], meter: Meter
    ) -> None:
        self._bounded = bounded
        self._usual = usual
        self._begin = begin
        self._meter = meter
        self._known: dict[str, float] = {}  # seconds, by endpoint

    def install(self, app: Flask) -> None:
        """Stand around all that the app does for a request once its route is known."""
        handle = app.full_dispatch_request

        def refuse() -> Response:
            detail = say("The path: {why}", why=say(queries.NOT_TEXT))
            problem = ProblemError(400, detail, kind="malformed")
            return app.finalize_request(app.handle_user_exception(problem))

        def run() -> Response:
            return self._run(handle if _path_is_text() else refuse, self._seconds(app))

        app.full_dispatch_request = run  # type: ignore[method-assign]
        app.wsgi_app = WithHeaders(app.wsgi_app)  # type: ignore[assignment,method-assign]

    def _seconds(self, app: Flask) -> float:
        rule = request.url_rule
        if rule is None:
            return self._usual
        if (known := self._known.get(rule.endpoint)) is None:
            found = operations.of(app.view_functions[rule.endpoint])
            known = found.deadline if found is not None and found.deadline else self._usual
            self._known[rule.endpoint] = known
        return known

    def _run(self, handle: Callable[[], Response], seconds: float) -> Response:
        g.request_id = request.environ[REQUEST_ID]
        g.client_address = request.remote_addr or ""  # a trusted proxy may know better (proxies.py)
        left = max(0.0, seconds - waited())
        report = Report(self._meter)
        report.tally = self._begin()
        try:
            with self._bounded(left):
                response = handle()
        except BaseException:
            report.end(500)
            raise
        report.user, report.address = g.get("user_id"), g.client_address
        if isinstance(response.response, Pushed):
            report.end(response.status_code)  # what follows has no thread, and no end in sight
        elif response.is_streamed:
            # Its parts are made while the server sends them, after this function has returned.
            self._bound_stream(response, report.began + seconds)
            response.call_on_close(lambda: report.end(response.status_code))
        else:
            report.end(response.status_code)
        return response

    def _bound_stream(self, response: Response, ends: float) -> None:
        parts = response.response

        def within() -> Iterator[Any]:
            # Bounded while a part is made, never while the client takes it: a generator that is
            # left suspended inside a deadline would leave the deadline to its thread.
            making = iter(parts)
            while True:
                try:
                    with self._bounded(max(0.0, ends - time.perf_counter())):
                        part = next(making, None)
                except Exception:
                    # The server can only cut the answer off, and no longer knows whose it was.
                    log.exception("answer broken off")
                    raise
                if part is None:
                    return
                yield part

        response.response = within()
        if hasattr(parts, "close"):
            response.call_on_close(parts.close)


def _path_is_text() -> bool:
    """Whether the path can be read. Query strings are for the routes that take one."""
    path = request.environ.get("PATH_INFO", "")
    if not path.isascii():
        try:
            path.encode("latin-1").decode()  # as WSGI hands it over (PEP 3333)
        except UnicodeError:
            return False
    return "\0" not in path


def waited() -> float:
    """Seconds that the request has waited for a thread."""
    arrived: float | None = request.environ.get(ARRIVED)
    return 0 if arrived is None else time.perf_counter() - arrived


class WithHeaders:
    """Gives each request its id, and each response the headers that all have; a view's own stay.

    On the way to the server, where headers are a plain list: in Flask's own they cost several times
    as much.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        # An id from outside ends up in our log: only harmless characters.
        request_id = environ[REQUEST_ID] = given if ACCEPTABLE(given) else token_hex(8)
        logs.current_request.set(request_id)  # until the server calls `post_request`

        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            there = {name for name, _ in headers}
            headers.extend([item for item in SECURITY_HEADERS.items() if item[0] not in there])
            headers.append((HEADER, request_id))
            return start(status, headers, *more)

        return self._app(environ, begin)


class Report:
    """One request, for metrics and log. The route, not the path: paths and queries hold values."""

    __slots__ = (
        "_meter", "_request_id", "address", "began", "endpoint", "method", "quiet", "route",
        "tally", "user",
    )  # fmt: skip

    def __init__(self, meter: Meter) -> None:
        self.began: float = request.environ.get(ARRIVED) or time.perf_counter()
        self.user: str | None = None
        self.address: str | None = None
        self.tally: Tally  # what the database costs it
        self._meter = meter
        rule = request.url_rule
        self.method = request.method
        self.route: str | None = rule.rule if rule else None
        self.endpoint: str | None = rule.endpoint if rule else None
        self.quiet = self.route in QUIET
        self._request_id = g.request_id
        meter.began()

    def end(self, status: int) -> None:
        """It has been answered, and sent if it was streamed."""
        took = time.perf_counter() - self.began
        self._meter.ended(self, status, took, self.tally)
        if not self.quiet or status >= 400:
            logs.request(
                logs.RequestLine(
                    request_id=self._request_id,
                    address=self.address,
                    method=self.method,
                    route=self.route,
                    status=status,
                    ms=round(took * 1000, 2),
                    db_ms=round(self.tally.seconds * 1000, 2),
                    user=self.user,
                )
            )

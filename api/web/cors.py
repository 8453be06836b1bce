"""Cross-origin requests (CORS, Fetch Standard 3.2): only for pages of the origins on our list.

A page of another origin gets no CORS header, so its browser keeps the answer from it. Preflights
are answered for listed origins and for methods that the address takes; any other OPTIONS is 405.
"""

from flask import Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

ALLOWED_HEADERS = ", ".join(
    ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match",
     "X-CSRF-TOKEN", "X-Request-Id")
)  # fmt: skip
# Besides those that every page may read (Fetch Standard 2.2.2: Content-Type, Content-Length, …).
EXPOSED_HEADERS = ", ".join(
    ("Accept-Patch", "Allow", "Content-Disposition", "ETag", "Idempotent-Replayed", "Link",
     "Location", "Retry-After", "WWW-Authenticate", "X-Request-Id")
)  # fmt: skip
SECONDS = "600"  # that a browser may remember a preflight


def install(app: Flask, origins: frozenset[str]) -> None:
    """Put it on the app, before the gate: a preflight brings no token. Without origins nothing."""
    if not origins:
        return

    @app.before_request
    def preflight() -> Response | None:
        asked = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or request.headers.get("Origin") not in origins:
            return None
        # Without automatic OPTIONS the router refuses the method, and names those there are.
        refused = request.routing_exception
        if not isinstance(refused, MethodNotAllowed) or asked is None:
            return None
        if asked not in (refused.valid_methods or ()):
            return None
        answer = Response(status=204)
        answer.headers["Access-Control-Allow-Methods"] = asked
        answer.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        answer.headers["Access-Control-Max-Age"] = SECONDS
        return answer

    @app.after_request
    def admit(response: Response) -> Response:
        response.vary.add("Origin")
        for name, value in admitting(request.headers.get("Origin"), origins).items():
            response.headers[name] = value
        return response


def admitting(origin: str | None, origins: frozenset[str]) -> dict[str, str]:
    """The headers by which a page of this origin may read an answer; none for others."""
    if origin is None or origin not in origins:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": EXPOSED_HEADERS,
    }

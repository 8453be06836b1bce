"""The gate: every route needs an access token, unless it is on the one public list below.

The principal's document is read for each request, so that a disabled, deleted or logged-out user's
token stops working immediately; sessions.py tells how it is read. It doubles as the answer where
people read themselves. One exception keeps reads cheap: administrators' reads of *other* documents
and of lists may go on for `principal_cache` seconds after they were disabled; never their writes.
"""

import hashlib
import time
from collections.abc import Iterable
from hmac import compare_digest

from bson import ObjectId
from flask import Flask, g, request

from api.auth import cookies, tokens
from api.auth.sessions import Sessions
from api.crud.access import Principal, Role, Who, admit
from api.resources import USERS, Resource
from api.settings import Settings
from api.store import Store
from api.web.problems import unauthorized

# The one list of endpoints that need no access token. On it are also those that take another proof
# of who is asking: auth.refresh takes a refresh token, auth.logout any.
PUBLIC = frozenset(
    {
        "health.alive",
        "health.ready",
        "auth.signup",
        "auth.login",
        "auth.refresh",
        "auth.logout",
        "auth.jwks",
        "openapi.show",
        "dashboard.start",
        "dashboard.page",
        "dashboard.asset",
        "docs.page",
        "docs.asset",
        "leads.create",
        "feedback.create",
    }
)
# Of these, those that ask who it is where a token comes along: one that is not good is 401.
EITHER = frozenset({"feedback.create"})
METRICS = "metrics.show"  # for administrators, and for whoever has the setting `metrics_token`

FIELDS = (*USERS.shown, "sessions.id")
MOST_KNOWN = 10_000  # verified tokens, some 300 bytes each
MOST_CACHED = 64  # administrators' sessions of the same second, some 10 kB each


class Verifier:
    """Verifies the access tokens of requests, each token once per process.

    Whether a signature is right never changes, and checking it costs more than reading a document.
    So what was found is kept, under a digest of the header, until the token expires.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, tokens.Verified] = {}

    def verify(self) -> tokens.Verified:
        """What the current request's token says. Raises ProblemError 401; 403 without CSRF."""
        header = request.headers.get("Authorization")
        if header is not None:
            return self._remembered(header) or self._checked(header, tokens.bearer(header))
        cookie = request.cookies.get(cookies.ACCESS)
        source = f"\0{cookie}"
        found = self._remembered(source)
        if found is None:
            with tokens.taking_back():
                found = self._checked(source, cookie)
        cookies.check_csrf(found.csrf)
        return found

    def _remembered(self, source: str) -> tokens.Verified | None:
        known = self._known.get(_digest(source))
        return known if known is not None and time.time() < known.until else None

    def _checked(self, source: str, text: str | None) -> tokens.Verified:
        found = tokens.verify(text, tokens.ACCESS)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[_digest(source)] = found
        return found


def _digest(source: str) -> bytes:
    return hashlib.sha256(source.encode()).digest()


class Gate:
    """Stands before every request of one app."""

    def __init__(self, sessions: Sessions, settings: Settings) -> None:
        self._sessions = sessions
        self._cache_seconds = settings.principal_cache
        self._metrics_token = settings.metrics_token
        self._verifier = Verifier()
        self._admins: dict[tuple[ObjectId, str], tuple[float, Principal]] = {}

    def check(self) -> None:
        """Set the principal of this request, or refuse it with 401."""
        # No endpoint: nothing is there, or not with this method; the router answers 404 or 405.
        endpoint = request.endpoint
        if endpoint is None or _open(endpoint) or (endpoint == METRICS and self._scrapes()):
            return
        token = self._verifier.verify()
        g.user_id = str(token.user_id)
        found = self._cached(token) if request.method == "GET" else None
        if found is None:
            document = self._sessions.user_in(token.user_id, token.session, FIELDS)
            if not document:
                self._admins.pop((token.user_id, token.session), None)
                cookies.forget(cookies.ACCESS, cookies.REFRESH)  # the session's, and it is over
                raise unauthorized("The token is no longer valid. Log in again.")
            role = Role(document["role"])
            found = Principal(
                token.user_id,
                role,
                token.session,
                USERS.name,
                document,
                token.began,
                token.until,
            )
            if role is Role.ADMIN and self._cache_seconds:
                if len(self._admins) >= MOST_CACHED:
                    self._admins.clear()
                until = time.monotonic() + self._cache_seconds
                self._admins[token.user_id, token.session] = (until, found)
        g.principal = found
        if endpoint == METRICS:
            admit(Who.ADMIN)

    def _cached(self, token: tokens.Verified) -> Principal | None:
        until, found = self._admins.get((token.user_id, token.session), (0.0, None))
        # The routes of `auth` answer with the principal's own document: never with an old one.
        if time.monotonic() >= until or request.blueprint == "auth":
            return None
        asked = (request.view_args or {}).get("document_id", "")
        return found if asked.lower() != str(token.user_id) else None  # ids may come in capitals

    def _scrapes(self) -> bool:
        """Whether the request brings the token for metrics."""
        given = tokens.bearer(request.headers.get("Authorization", "")) or ""
        wanted = self._metrics_token
        return bool(wanted) and compare_digest(given.encode(), wanted.encode())


def _open(endpoint: str) -> bool:
    """Whether this request needs no token."""
    return endpoint in PUBLIC and not (endpoint in EITHER and tokens.comes())


def install(app: Flask, store: Store, settings: Settings) -> None:
    """Put the gate before every route."""
    gate = Gate(Sessions(store, settings), settings)
    app.before_request(gate.check)


def agree(resources: Iterable[Resource]) -> None:
    """Refuse a declaration that opens a route to anyone, but is not on the public list."""
    for resource in resources:
        for endpoint in resource.open_to_all():
            if endpoint not in PUBLIC:
                raise ValueError(
                    f"the resource {resource.name} opens {endpoint} to anyone. If that is meant, "
                    "put it on the list PUBLIC in api/auth/gate.py"
                )

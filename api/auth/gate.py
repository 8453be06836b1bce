"""The gate: every route needs a token, unless it is on the one public list below.

The principal's document is read for each request, so that a disabled, deleted or logged-out user's
token stops working at once. It is read with read concern local from the primary, which sees every
acknowledged change, also just after a failover; and it doubles as the answer where people read
themselves. One exception keeps reads by id cheap: administrators' reads of *other* documents may go
on for `principal_cache` seconds after they were disabled; never their writes.
"""

import time

from bson import ObjectId
from flask import Flask, g, request

from api.auth import tokens
from api.crud.access import Principal, Role
from api.resources import USERS
from api.settings import Settings
from api.store import Documents, Store
from api.web.problems import unauthorized

# The one list of endpoints that need no token. What proves who is asking otherwise is on it, too:
# auth.refresh takes a refresh token.
PUBLIC = frozenset(
    {
        "health.alive",
        "health.ready",
        "auth.signup",
        "auth.login",
        "auth.refresh",
        "auth.jwks",
        "openapi.show",
        "docs.page",
        "docs.asset",
        "leads.create",
    }
)

FIELDS = (*USERS.shown, "session")
MOST_CACHED = 1000  # administrators; there are few


class Gate:
    """Stands before every request of one app."""

    def __init__(self, users: Documents, cache_seconds: float) -> None:
        self._users = users
        self._cache_seconds = cache_seconds
        self._verifier = tokens.Verifier()
        self._admins: dict[ObjectId, tuple[float, Principal]] = {}

    def check(self) -> None:
        """Set the principal of this request, or refuse it with 401."""
        # No endpoint: nothing is there, or not with this method; the router answers 404 or 405.
        if request.endpoint is None or request.endpoint in PUBLIC:
            return
        user_id, session, _ = self._verifier.verify()
        g.user_id = str(user_id)
        principal = self._cached(user_id) or self._read(user_id)
        if principal is None or principal.session != session:
            raise unauthorized("The token is no longer valid. Log in again.")
        g.principal = principal

    def _read(self, user_id: ObjectId) -> Principal | None:
        document = self._users.get(user_id, FIELDS)
        if document is None or document.get("disabled"):
            self._admins.pop(user_id, None)
            return None
        role = Role(document["role"])
        found = Principal(user_id, role, document.get("session", ""), USERS.name, document)
        if found.is_admin and self._cache_seconds:
            if len(self._admins) >= MOST_CACHED:
                self._admins.clear()
            self._admins[user_id] = (time.monotonic() + self._cache_seconds, found)
        return found

    def _cached(self, user_id: ObjectId) -> Principal | None:
        until, found = self._admins.get(user_id, (0.0, None))
        if time.monotonic() >= until or request.method != "GET":
            return None
        asked = (request.view_args or {}).get("document_id")
        return found if asked not in (None, str(user_id)) else None


def install(app: Flask, store: Store, settings: Settings) -> None:
    """Put the gate before every route."""
    gate = Gate(USERS.documents(store), settings.principal_cache)
    app.before_request(gate.check)

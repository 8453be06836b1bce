"""Access and refresh tokens: issuer, audience, times, type and key all checked (RFC 8725).

A token names the user and one of the user's sessions. When the session ends, so do its tokens.
What the user may do is not in the token: it is read from the user's document, so a change of role
counts at once. A refresh token is good once: its `jti` is the one that the session knows.
"""

import hashlib
import time
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any, NamedTuple

from bson import ObjectId
from bson.errors import InvalidId
from flask import Flask, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    verify_jwt_in_request,
)
from flask_jwt_extended.exceptions import JWTExtendedException, NoAuthorizationError
from jwt.exceptions import ExpiredSignatureError, PyJWTError

from api.auth import cookies
from api.auth.keys import Keys
from api.settings import Settings
from api.web.problems import unauthorized

SESSION, CSRF = "ses", "csrf"
HEADERS, COOKIES = "headers", "cookies"
# What the libraries raise for bad tokens and headers; RecursionError for deeply nested ones.
MALFORMED = (
    JWTExtendedException,
    PyJWTError,
    InvalidId,
    ValueError,
    LookupError,
    TypeError,
    RecursionError,
)
MOST_KNOWN = 10_000  # verified tokens, some 300 bytes each


def install(app: Flask, settings: Settings) -> None:
    """Configure Flask-JWT-Extended on the app."""
    keys = Keys.of(settings)
    app.config.update(
        JWT_ALGORITHM=keys.signing.algorithm,
        JWT_DECODE_ALGORITHMS=keys.algorithms,
        JWT_TOKEN_LOCATION=[HEADERS, COOKIES],
        JWT_ENCODE_ISSUER=settings.jwt_issuer,
        JWT_DECODE_ISSUER=settings.jwt_issuer,
        JWT_ENCODE_AUDIENCE=settings.jwt_audience,
        JWT_DECODE_AUDIENCE=settings.jwt_audience,
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=access_seconds(settings)),
        JWT_REFRESH_TOKEN_EXPIRES=timedelta(seconds=settings.refresh_token_lifetime),
        **cookies.CONFIGURATION,
    )
    manager = JWTManager(app)
    manager.encode_key_loader(lambda _identity: keys.signing.signing)
    manager.additional_headers_loader(lambda _identity: {"kid": keys.signing.id})
    manager.decode_key_loader(lambda header, _claims: keys.verifying(header))


def access_seconds(settings: Settings) -> float:
    """How long an access token is good: never longer than its session lasts unused."""
    return min(settings.access_token_lifetime, settings.refresh_token_lifetime)


class Pair(NamedTuple):
    """A session's tokens, and what must come with them when they are sent as cookies."""

    access: str
    refresh: str
    access_csrf: str
    refresh_csrf: str


def issue(user_id: ObjectId, session_id: str, jti: str, *, csrf: bool) -> Pair:
    """An access token and the refresh token `jti`; `csrf`: as cookies."""
    extra: list[dict[str, str]] = [{SESSION: session_id}, {SESSION: session_id, "jti": jti}]
    if csrf:
        for claims in extra:
            claims[CSRF] = token_urlsafe(18)
    access = create_access_token(str(user_id), additional_claims=extra[0])
    refresh = create_refresh_token(str(user_id), additional_claims=extra[1])
    return Pair(access, refresh, extra[0].get(CSRF, ""), extra[1].get(CSRF, ""))


class Verified(NamedTuple):
    """What a good token says."""

    user_id: ObjectId
    session: str
    until: float  # seconds since 1970
    jti: str
    csrf: str | None


class Verifier:
    """Verifies the access tokens of requests, each token once per process.

    Whether a signature is right never changes, and checking it costs more than reading a document.
    So what was found is kept, under a digest of the header, until the token expires.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Verified] = {}

    def verify(self) -> Verified:
        """What the current request's token says. Raises ProblemError 401; 403 without CSRF."""
        header = request.headers.get("Authorization")
        if header is not None:
            return self._remembered(header, HEADERS)
        found = self._remembered("\0" + request.cookies.get(cookies.ACCESS, ""), COOKIES)
        cookies.check_csrf(found.csrf)
        return found

    def _remembered(self, source: str, location: str) -> Verified:
        digest = hashlib.sha256(source.encode()).digest()
        known = self._known.get(digest)
        if known is not None and time.time() < known.until:
            return known
        found = verify(location)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[digest] = found
        return found


def verify_refresh() -> tuple[Verified, bool]:
    """What the request's refresh token says, and whether it came as a cookie. Raises as above."""
    if "Authorization" in request.headers:
        return verify(HEADERS, refresh=True), False
    found = verify(COOKIES, refresh=True)
    cookies.check_csrf(found.csrf)
    return found, True


def verify(location: str, *, refresh: bool = False) -> Verified:
    """Check this request's token. Raises ProblemError 401."""
    try:
        found = verify_jwt_in_request(refresh=refresh, locations=[location])
        claims: dict[str, Any] = found[1] if found else {}
        return Verified(
            ObjectId(claims["sub"]),
            str(claims[SESSION]),
            float(claims["exp"]),
            str(claims["jti"]),
            claims.get(CSRF),
        )
    except NoAuthorizationError:
        raise unauthorized("Log in, and send the token as 'Authorization: Bearer …'.") from None
    except ExpiredSignatureError:
        raise unauthorized("The token has expired. Log in again.") from None
    except MALFORMED:
        # One sentence for all of these: which check failed helps only those who forge tokens.
        raise unauthorized("The token is not valid. Log in again.") from None

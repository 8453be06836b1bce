"""Cookie mode, for browsers: scripts never see the tokens, and other sites cannot use them.

The tokens travel in cookies that are Secure, HttpOnly and SameSite=Strict; the refresh token's is
sent to the routes of `auth` only. A request that changes anything must repeat the token's `csrf`
claim in the header X-CSRF-TOKEN; log-in and refresh tell it in their answers' bodies.

A cookie that is good for nothing any more is taken back with the answer that says so.
"""

from hmac import compare_digest

from flask import Response, after_this_request, request
from flask_jwt_extended import (
    set_access_cookies,
    set_refresh_cookies,
    unset_access_cookies,
    unset_refresh_cookies,
)

from api.web.problems import ProblemError

# The prefixes make browsers refuse such a cookie from plain HTTP; with `__Host-` also one that a
# neighbouring subdomain set (RFC 6265bis 4.1.3).
ACCESS, REFRESH = "__Host-access_token", "__Secure-refresh_token"
HEADER = "X-CSRF-TOKEN"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

CONFIGURATION = {
    "JWT_ACCESS_COOKIE_NAME": ACCESS,
    "JWT_REFRESH_COOKIE_NAME": REFRESH,
    "JWT_ACCESS_COOKIE_PATH": "/",
    "JWT_REFRESH_COOKIE_PATH": "/api/v1/auth",
    "JWT_COOKIE_SECURE": True,
    "JWT_COOKIE_SAMESITE": "Strict",
    "JWT_COOKIE_CSRF_PROTECT": False,  # check_csrf does it, also for tokens verified before
}


def give(response: Response, access: str, refresh: str, lifetimes: tuple[int, int]) -> Response:
    """Put the tokens into the response's cookies, each for its lifetime in seconds."""
    set_access_cookies(response, access, max_age=lifetimes[0])
    set_refresh_cookies(response, refresh, max_age=lifetimes[1])
    return response


def sent() -> bool:
    """Whether the request came with any of them."""
    return ACCESS in request.cookies or REFRESH in request.cookies


def remove(response: Response) -> Response:
    """Make a browser forget them, if it sent any."""
    return _unset(response, ACCESS, REFRESH) if sent() else response


def forget(*names: str) -> None:
    """Make a browser that came with cookies, and with no other token, forget these."""
    if names and "Authorization" not in request.headers and sent():
        after_this_request(lambda response: _unset(response, *names))


def _unset(response: Response, *names: str) -> Response:
    if ACCESS in names:
        unset_access_cookies(response)
    if REFRESH in names:
        unset_refresh_cookies(response)
    return response


def check_csrf(*expected: str | None) -> None:
    """Refuse a write that came with cookies alone: any site can make a browser send those.

    The header must repeat one of `expected`.
    """
    if request.method in SAFE:
        return
    given = request.headers.get(HEADER, "").encode()
    if not any(compare_digest(given, one.encode()) for one in expected if one):
        raise ProblemError(
            403,
            "With cookies, send the CSRF token that log-in answered with as X-CSRF-TOKEN.",
            kind="csrf",
        )

"""The parts of the description that are the same for every route."""

from http import HTTPStatus
from typing import Any

from api.auth import cookies
from api.docs import ASSETS

Json = dict[str, Any]

SAFE = cookies.SAFE
SECURITY_HEADERS = frozenset({cookies.HEADER, "Authorization"})

TAGS = r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'  # entity tags: RFC 9110, 8.8.3

KEY = r'^("[ !#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$'  # RFC 8941, 3.3.3; quotes may be left out

PATH: dict[str, Json] = {
    "asset": {"type": "string", "enum": list(ASSETS)},
    "document_id": {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"},
}

HEADERS: dict[str, Json] = {
    "If-Match": {"type": "string", "pattern": TAGS, "examples": ['"1"']},
    "If-None-Match": {"type": "string", "pattern": TAGS, "examples": ['"0"']},
    "Idempotency-Key": {"type": "string", "pattern": KEY},
}

SECURITY_SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access_token of /api/v1/auth/login.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": cookies.ACCESS,
        "description": 'The cookie of /api/v1/auth/login with "mode": "cookie".',
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": cookies.HEADER,
        "description": "The csrf_token that came with the cookie.",
    },
}

MEANINGS = {
    400: "The body, the address or a header is malformed",
    401: "No token, or one that is not valid; or a fresh log-in is needed (RFC 9470)",
    403: "Not allowed",
    404: "There is no such document, or none you may know of",
    408: "The body did not arrive in time",
    409: "A value is taken, or somebody else changed the document first",
    410: "It was there, and has been deleted",
    412: "The document is not at the version that the condition names",
    413: "The body is too large",
    414: "The address is too long",
    415: "The body is of another media type, or in a content coding",
    422: "Some fields or parameters are not valid; each is named",
    428: "A condition is required",
    429: "Too many requests; Retry-After says when again",
    503: "The database did not answer in time; Retry-After says when again",
}


def response(status: int) -> Json:
    """The problem details of a status."""
    meaning = MEANINGS.get(status, HTTPStatus(status).phrase)
    made: Json = {
        "description": meaning,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    if status == 414:  # the server's own; the application never sees such a request
        made["content"] = {"text/html": {"schema": {"type": "string"}}}
    if status == 401:
        challenge = {"description": "Why, and what to do", "schema": {"type": "string"}}
        made["headers"] = {"WWW-Authenticate": challenge}
    if status == 415:
        coding = {"description": "The content codings that are taken", "schema": {"type": "string"}}
        made["headers"] = {"Accept-Encoding": coding}
    if status in (429, 503):
        seconds = {"description": "Seconds to wait", "schema": {"type": "string"}}
        made["headers"] = {"Retry-After": seconds}
    return made

"""`GET /api/v1/openapi.json`."""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

import msgspec
from flask import Blueprint, Flask, Response, current_app, request

from api.openapi.document import describe
from api.web.operations import Answer, operation


def text(app: Flask, public: frozenset[str]) -> bytes:
    """The description as JSON."""
    try:
        release = version("shardstack")
    except PackageNotFoundError:  # run from a folder, not installed
        release = "0"
    return msgspec.json.encode(describe(app, public, release))


def blueprint(public: frozenset[str]) -> Blueprint:
    """The route. `public`: the endpoints that need no token."""
    openapi = Blueprint("openapi", __name__)

    @lru_cache(maxsize=1)
    def made() -> tuple[bytes, str]:
        """At the first request: by then all routes are there. They never change after."""
        body = text(current_app, public)
        return body, hashlib.sha256(body).hexdigest()[:16]

    @openapi.get("/openapi.json")
    @operation(
        answers={
            200: Answer(shape=dict, headers={"ETag": "Changes with the description"}),
            304: Answer(description="Not modified: you have this version"),
        },
    )
    def show() -> Response:
        """This description of the API, OpenAPI 3.1."""
        body, tag = made()
        response = Response(body, mimetype="application/json")
        response.set_etag(tag)
        response.headers["Cache-Control"] = "public, max-age=60"
        response.make_conditional(request)
        return response

    return openapi

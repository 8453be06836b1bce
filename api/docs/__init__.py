"""`/docs`: the description of the API to read and to try, without anything from elsewhere.

The viewer is Swagger UI, vendored (README.md beside this file). The page's policy lets it load
scripts and send requests here only; it puts styles on its elements, which must be allowed to it.
"""

import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from flask import Blueprint, Response, request

from api.web.operations import Answer, operation
from api.web.problems import ProblemError

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
TYPES = {
    "index.html": "text/html",
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
PAGE = "index.html"
ASSETS = tuple(name for name in TYPES if name != PAGE)


class File(NamedTuple):
    """A file of the viewer."""

    content: bytes
    packed: bytes
    tag: str


@lru_cache
def read(name: str) -> File:
    """One of the files, read and packed once per process."""
    content = (files(__name__) / "viewer" / name).read_bytes()
    packed = gzip.compress(content, mtime=0)
    return File(content, packed, hashlib.sha256(content).hexdigest()[:16])


def serve(name: str) -> Response:
    """One of the files, as a response that browsers may keep."""
    file = read(name)
    pack = request.accept_encodings["gzip"] > 0
    response = Response(file.packed if pack else file.content, mimetype=TYPES[name])
    if pack:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "public, max-age=60"
    response.headers["Content-Security-Policy"] = POLICY
    response.set_etag(file.tag + ("-gzip" if pack else ""))
    response.make_conditional(request)
    return response


NOT_MODIFIED = Answer(description="Not modified: you have this version")


def blueprint() -> Blueprint:
    """The page and its files."""
    docs = Blueprint("docs", __name__)

    @docs.get("/")
    @operation(answers={302: Answer(description="Its address, in Location")})
    def start() -> Response:
        """Where the description of the API is."""
        response = Response(status=302)
        response.headers["Location"] = "/docs"
        response.autocorrect_location_header = False
        return response

    @docs.get("/docs")
    @operation(answers={200: Answer(shape=str, media="text/html"), 304: NOT_MODIFIED})
    def page() -> Response:
        """The description of the API, to read and to try in a browser."""
        return serve(PAGE)

    @docs.get("/docs/<asset>")
    @operation(
        answers={200: Answer(shape=str, media="text/*"), 304: NOT_MODIFIED},
        problems=(404,),
    )
    def asset(asset: str) -> Response:
        """A file of that page."""
        if asset not in ASSETS:
            raise ProblemError(404, "The page has no such file.", kind="missing")
        return serve(asset)

    return docs

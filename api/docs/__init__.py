"""`/docs`: the description of the API to read and to try, without anything from elsewhere.

The viewer is Swagger UI, vendored (README.md beside this file). The page's policy lets it load
scripts and send requests here only; it puts styles on its elements, which must be allowed to it.
"""

from flask import Blueprint, Response

from api.web.operations import Answer, operation
from api.web.static import NOT_MODIFIED, Folder

VIEWER = Folder(
    __name__,
    "viewer",
    policy=(
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ),
)


def blueprint() -> Blueprint:
    """The page and its files."""
    docs = Blueprint("docs", __name__)

    @docs.get("/docs")
    @operation(answers={200: Answer(shape=str, media="text/html"), 304: NOT_MODIFIED})
    def page() -> Response:
        """The description of the API, to read and to try in a browser."""
        return VIEWER.page()

    @docs.get("/docs/<asset>")
    @operation(
        answers={200: Answer(shape=str, media="text/*"), 304: NOT_MODIFIED},
        problems=(404,),
    )
    def asset(asset: str) -> Response:
        """A file of that page."""
        return VIEWER.asset(asset)

    return docs

"""`/dashboard`: the pages, a static client that speaks to the API as any consumer does.

Its files are in `client/`, and README.md tells how they are made. No rule about data is here: what
the API refuses, the pages cannot do. Their policy lets nothing in that is not from here, no code
within the page, and no text that becomes code or markup.
"""

from flask import Blueprint, Response

from api.web.operations import Answer, operation
from api.web.static import NOT_MODIFIED, Folder

CLIENT = Folder(
    __name__,
    "client",
    policy=(
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ),
)


def blueprint() -> Blueprint:
    """The page and its files."""
    dashboard = Blueprint("dashboard", __name__)

    @dashboard.get("/")
    @operation(answers={302: Answer(description="Its address, in Location")})
    def start() -> Response:
        """Where the pages are."""
        response = Response(status=302)
        response.headers["Location"] = "/dashboard"
        response.autocorrect_location_header = False
        return response

    @dashboard.get("/dashboard")
    @operation(answers={200: Answer(shape=str, media="text/html"), 304: NOT_MODIFIED})
    def page() -> Response:
        """The pages, for people."""
        return CLIENT.page()

    @dashboard.get("/dashboard/<path:file>")
    @operation(
        answers={200: Answer(shape=str, media="text/*"), 304: NOT_MODIFIED},
        problems=(404,),
    )
    def asset(file: str) -> Response:
        """A file of those pages."""
        return CLIENT.asset(file)

    return dashboard

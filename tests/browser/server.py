"""The API's server as the pages' tests want it. Everything else is `python -m api`.

It has the resources of the README besides, which the pages have never heard of. What administrators
are shown of the cluster and of the API's use comes from the folder BROWSER_STUBS where the API has
no such route of its own: `cluster.json` and `analytics.json`.
"""

import os
from pathlib import Path
from typing import Any

from api import resources

resources.__path__.append(os.environ["BROWSER_RESOURCES"])
resources.ALL = resources._discover()

import msgspec  # noqa: E402 - the resources come first
from flask import Blueprint, Flask, Response  # noqa: E402

from api.__main__ import main  # noqa: E402
from api.app import create_app  # noqa: E402
from api.crud.access import Who, admit  # noqa: E402
from api.serving import server  # noqa: E402
from api.web.operations import Answer, operation  # noqa: E402
from api.web.problems import ProblemError  # noqa: E402
from console.terminal import run  # noqa: E402


class AnalyticsQuery(msgspec.Struct, kw_only=True, rename={"first": "from", "last": "to"}):
    """The days that are asked for."""

    first: str
    last: str


def read(name: str) -> Response:
    """What the folder has under this name; 503 while it has nothing."""
    try:
        text = Path(os.environ["BROWSER_STUBS"], name).read_bytes()
    except FileNotFoundError:
        raise ProblemError(503, "The monitor does not answer.", kind="unavailable") from None
    return Response(text, mimetype="application/json")


def stubs(present: set[str]) -> Blueprint:
    """The routes that are not present."""
    made = Blueprint("stubs", __name__)
    declared = operation(answers={200: Answer(shape=dict)}, guard=lambda **_: admit(Who.ADMIN))
    asked = operation(
        query=AnalyticsQuery,
        answers={200: Answer(shape=dict)},
        guard=lambda **_: admit(Who.ADMIN),
    )

    def cluster() -> Response:
        """The cluster's picture."""
        return read("cluster.json")

    def analytics(query: AnalyticsQuery) -> Response:
        """What was counted, day by day."""
        assert query.first <= query.last
        return read("analytics.json")

    for path, view in (("cluster", declared(cluster)), ("analytics", asked(analytics))):
        if f"/api/v1/{path}" not in present:
            made.add_url_rule(f"/api/v1/{path}", path, view)
    return made


def with_stubs(*arguments: Any) -> Flask:
    """The app, and what it has not yet."""
    app = create_app(*arguments)
    app.register_blueprint(stubs({rule.rule for rule in app.url_map.iter_rules()}))
    return app


if __name__ == "__main__":
    server.create_app = with_stubs  # type: ignore[attr-defined]
    run(main, "python -m api")

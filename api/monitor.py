"""`GET /api/v1/cluster`: the cluster as its exporter sees it, for administrators.

The API knows the cluster as a connection string. Who draws it gets what the exporter
(`python -m cluster exporter`, at the setting `cluster_url`) tells of it, as it is.
"""

import http.client
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Response

from api.crud.access import Who, admit
from api.settings import Settings
from api.settings.checks import variable
from api.web.body import JSON
from api.web.languages import say
from api.web.operations import Answer, operation
from api.web.problems import ProblemError

PATH = "/status.json"
PATIENCE = 4.0  # seconds; the exporter itself waits 2 for servers that do not answer
LARGEST = 8 * 1024 * 1024


class Picture(msgspec.Struct):
    """The cluster at a moment, in seconds since 1970; more is in it, as the exporter tells it."""

    at: float
    problems: list[str]


def blueprint(settings: Settings) -> Blueprint:
    """The route."""
    monitor = Blueprint("monitor", __name__)

    @monitor.get("/cluster")
    @operation(
        answers={200: Answer(shape=Picture, description="What the exporter tells of it")},
        problems=(403, 404, 503),
        guard=lambda: admit(Who.ADMIN),
        deadline=PATIENCE + 1,  # it waits for somebody else: not with threads of all
    )
    def show() -> Response:
        """The cluster now: its sets, servers and shards, and what is wrong with it.

        Half a second old at most. While a server does not answer this takes up to two seconds.
        """
        if not settings.cluster_url:
            name = variable("cluster_url")
            detail = say("Nothing watches the cluster: {name} is not set.", name=name)
            raise ProblemError(404, detail, kind="no-monitor")
        return Response(picture(settings.cluster_url), mimetype=JSON)

    return monitor


def picture(url: str) -> bytes:
    """What the exporter at this address tells. Raises ProblemError 503."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=PATIENCE)
    try:
        connection.request("GET", parts.path.rstrip("/") + PATH)
        answer = connection.getresponse()
        found = answer.read(LARGEST + 1)
        msgspec.json.decode(found, type=Picture)
    except (OSError, http.client.HTTPException, msgspec.DecodeError):
        answer = None
    finally:
        connection.close()
    if answer is None or answer.status != 200 or len(found) > LARGEST:
        raise ProblemError(
            503,
            "The cluster's exporter does not answer.",
            kind="unavailable",
            headers={"Retry-After": "2"},
        )
    return found

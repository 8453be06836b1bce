"""An API that acknowledges early: a PATCH or a DELETE is answered as if done, then carried out.

So of two changes at one version both succeed, nobody hears of a change that fails, and what was
deleted is there for a moment. EARLY names the methods. Everything else is `python -m api`.
"""

import io
import json
import os
import threading
import time
from collections.abc import Iterable
from typing import Any

from flask import Flask

from api.__main__ import main
from console.terminal import run

LATER = 0.02
"""Seconds from its answer to the beginning of a change."""
METHODS = os.environ["EARLY"].split()
serve = Flask.__call__


def early(app: Flask, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a change at the present version, or a deletion, as if it were done."""
    method = environ["REQUEST_METHOD"]
    if method not in METHODS:
        return serve(app, environ, start_response)
    sent = environ["wsgi.input"].read()
    status, headers, now = _called(app, {**environ, "REQUEST_METHOD": "GET"}, b"")
    request = {**environ, "wsgi.input": io.BytesIO(sent)}
    if method == "DELETE" and status == "200 OK":
        threading.Thread(target=_carry_out, args=(app, environ, sent), daemon=True).start()
        start_response("204 No Content", [])
        return []
    if status != "200 OK" or headers["etag"] != environ.get("HTTP_IF_MATCH"):
        return serve(app, request, start_response)
    threading.Thread(target=_carry_out, args=(app, environ, sent), daemon=True).start()
    was = json.loads(now)
    body = json.dumps({**was, **json.loads(sent), "version": was["version"] + 1}).encode()
    kept = {name: headers[name] for name in ("content-type", "etag")}
    start_response("200 OK", [*kept.items(), ("Content-Length", str(len(body)))])
    return [body]


def _carry_out(app: Flask, environ: dict[str, Any], sent: bytes) -> None:
    time.sleep(LATER)
    _called(app, environ, sent)


def _called(app: Flask, environ: dict[str, Any], sent: bytes) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and body of a request to the API as it is."""
    told: list[Any] = []
    given = {**environ, "wsgi.input": io.BytesIO(sent), "CONTENT_LENGTH": str(len(sent))}
    body = b"".join(serve(app, given, lambda *answer: told.extend(answer)))
    return told[0], {name.lower(): value for name, value in told[1]}, body


if __name__ == "__main__":
    Flask.__call__ = early  # type: ignore[method-assign]
    run(main, "python -m api")

"""Answers that the server makes without the app: problem details, like the app's own."""

import re
import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from secrets import token_hex

from api.serving.messages import Message
from api.web import cors, logs, problems
from api.web.problems import ProblemError
from api.web.requests import ACCEPTABLE, HEADER, SECURITY_HEADERS

ORIGIN = re.compile(rb"\r\norigin:[ \t]*([\x21-\x7e]+)[ \t]*\r\n", re.IGNORECASE).search


class Refusals:
    """Makes them, logs and counts them.

    origins   whose pages may read them
    count     called with the status of each
    """

    def __init__(self, origins: frozenset[str], count: Callable[[int], None]) -> None:
        self._origins = origins
        self._count = count

    def answer(
        self, problem: ProblemError, found: Message | None, raw: bytes, peer: str, close: bool
    ) -> bytes:
        """The answer's bytes. `raw`: what came last, for when the head could not be parsed."""
        given = found.get_header("X-REQUEST-ID") if found else None
        request_id = given if given and ACCEPTABLE(given) else token_hex(8)
        body = problems.document(problem, request_id)
        headers = {
            "Date": formatdate(time.time(), usegmt=True),
            "Connection": "close" if close else "keep-alive",
            "Content-Type": problems.MEDIA_TYPE,
            "Content-Length": str(len(body)),
            **SECURITY_HEADERS,
            **self._cross_origin(found, raw),
            **problem.headers,
            HEADER: request_id,
        }
        lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._report(problem, found, request_id, peer)
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head if found is not None and found.method == "HEAD" else head + body

    def _cross_origin(self, found: Message | None, raw: bytes) -> dict[str, str]:
        if not self._origins:
            return {}
        if found is not None:
            origin = found.get_header("ORIGIN")
        else:
            seen = ORIGIN(raw)
            origin = seen.group(1).decode("latin-1") if seen else None
        return {"Vary": "Origin", **cors.admitting(origin, self._origins)}

    def _report(
        self, problem: ProblemError, found: Message | None, request_id: str, peer: str
    ) -> None:
        self._count(problem.status)
        logs.request(
            logs.RequestLine(
                request_id=request_id,
                address=peer,
                method=found.method if found else "",
                route=None,
                status=problem.status,
                ms=0,
                db_ms=0,
                user=None,
            )
        )

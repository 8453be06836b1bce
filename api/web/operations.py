"""What a route takes and answers, declared beside its view: enforced and documented from one text.

    @auth.post("/login")
    @operation(body=LogIn, answers={200: Answer(shape=Tokens)}, problems=(401, 429))
    def login(body: Fields) -> Response:
        '''Tokens for e-mail or national id and password.'''

The docstring's first line is the summary in the description of the API, the rest its details.

`admissions` tells the server what it must know of a request before a thread works on it.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from functools import wraps
from inspect import getdoc
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

from api.web import body as bodies
from api.web import queries
from api.web.body import JSON, Rules

View = Callable[..., Response]
Fields = dict[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A good answer: the shape of its body (None: it has none), media types, and its headers.

    `headers` maps a name to what it means.
    """

    shape: Any = None
    description: str = "OK"
    media: str | tuple[str, ...] = JSON
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """All that is to be known of a route from outside.

    summary, details   sentences, from the view's docstring
    answers            good answers by status
    body               shapes of the request's body; several: by who sends it, users first
    rules              normal forms of the body's text fields
    media              media type of the request's body
    query              struct of the query string
    headers            request headers that it reads: name to meaning
    problems           statuses of the problem details it may answer with besides the common ones
    deadline           seconds it may take, where that is not the usual request_deadline
    body_limit         bytes its body may have, where that is not the usual body_limit
    streamed           whether its view reads the body while it arrives
    probe              whether it tells how the server is: it has threads of its own
    who                whom it admits, for clients to know what they can offer to whom
    """

    summary: str
    details: str
    answers: Mapping[int, Answer]
    body: tuple[type[msgspec.Struct], ...] = ()
    rules: Rules = msgspec.field(default_factory=dict)
    media: str = JSON
    query: type[msgspec.Struct] | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    problems: tuple[int, ...] = ()
    deadline: float | None = None
    body_limit: int | None = None
    streamed: bool = False
    probe: bool = False
    who: str | None = None


def operation(  # noqa: PLR0913 - each argument is a part of the declaration
    *,
    answers: Mapping[int, Answer],
    body: type[msgspec.Struct] | tuple[type[msgspec.Struct], ...] = (),
    rules: Rules | None = None,
    media: str = JSON,
    query: type[msgspec.Struct] | None = None,
    headers: Mapping[str, str] | None = None,
    problems: tuple[int, ...] = (),
    guard: Callable[..., None] | None = None,
    deadline: float | None = None,
    body_limit: int | None = None,
    streamed: bool = False,
    probe: bool = False,
) -> Callable[[View], View]:
    """Declare a view's operation. What is declared is read, checked and handed to the view.

    With `query`, the view gets the struct as `query`; with one `body`, its fields as `body`, after
    `rules`. With several bodies or none the view reads the body itself. `guard` gets the view's
    arguments first: who may not do this learns nothing of what is wrong with the body.
    `deadline` and `body_limit` stand in for the settings of the same kind, also for bodies and
    streamed answers that the view handles itself.
    """
    shapes = body if isinstance(body, tuple) else (body,)
    single = None if isinstance(body, tuple) else body
    bodies.prepare(*shapes, *([query] if query is not None else []))

    def declare(view: View) -> View:
        @wraps(view)
        def checked(**arguments: Any) -> Response:
            if body_limit is not None:
                request.max_content_length = body_limit
            if guard is not None:
                guard(**arguments)
            if shapes:
                bodies.refuse_codings()
            if query is not None:
                arguments["query"] = queries.query(query)
            if single is not None:
                arguments["body"] = bodies.read(single, rules or {})
            return view(**arguments)

        summary, _, details = (getdoc(view) or "").partition("\n")
        declared = Operation(
            summary=summary.strip(),
            details=details.strip(),
            answers=answers,
            body=shapes,
            rules=rules or {},
            media=media,
            query=query,
            headers=headers or {},
            problems=problems,
            deadline=deadline,
            body_limit=body_limit,
            streamed=streamed,
            probe=probe,
        )
        checked.operation = declared  # type: ignore[attr-defined]  # read by `of`
        return checked

    return declare


def of(view: Callable[..., Any] | None) -> Operation | None:
    """The operation that was declared for a view."""
    found: Operation | None = getattr(view, "operation", None)
    return found


class LaneName(Enum):
    """Whom a request shares its threads with."""

    USUAL = "usual"
    SLOW = "slow"  # it sends or fetches much, as fast as its client can
    PROBE = "probe"  # whoever watches the server: never behind consumers


class Admission(msgspec.Struct, frozen=True):
    """How a request is taken.

    lane        whose threads work on it
    body_limit  bytes
    seconds     its deadline
    streamed    whether its body is read while it arrives
    """

    lane: LaneName
    body_limit: int
    seconds: float
    streamed: bool


Admit = Callable[[str, str], Admission]


def admissions(app: Flask, body_limit: int, seconds: float) -> Admit:
    """A function of method and path. `body_limit` and `seconds` are the usual ones."""
    usual = Admission(LaneName.USUAL, body_limit, seconds, False)
    known: dict[str, Admission] = {}
    for endpoint, view in app.view_functions.items():
        found = of(view)
        if found is None:
            continue
        slow = found.deadline is not None
        lane = LaneName.PROBE if found.probe else LaneName.SLOW if slow else LaneName.USUAL
        known[endpoint] = Admission(
            lane, found.body_limit or body_limit, found.deadline or seconds, found.streamed
        )
    routes = app.url_map.bind("localhost")

    def admit(method: str, path: str) -> Admission:
        try:
            endpoint, _ = routes.match(path.encode("latin-1").decode(errors="replace"), method)
        except (HTTPException, RequestRedirect):
            return usual  # the app says what is wrong with it
        return known.get(endpoint, usual)

    return admit

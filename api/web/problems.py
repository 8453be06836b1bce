"""The one error shape: problem details (RFC 9457).

`application/problem+json` with type, title, status, detail, request_id and, where fields are at
fault, `errors`: a list of {pointer | parameter, code, detail}; a pointer is a JSON pointer into the
body as a URI fragment (`#/email`), a parameter is a name in the query string. It names the first
twenty; where there are more, `error_count` says how many: an answer is never many times its
request. Titles and details are in the language that the request prefers (languages.py); `type` and
`code` are the same in each.

Views raise ProblemError with the status. Which status the store's errors become, `problem_of` in
api/app.py says.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

import msgspec
import structlog
from flask import Flask, Response, g, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from api.web import languages
from api.web.languages import say

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 20  # that one answer names

log = structlog.get_logger("api")


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one field of the body, or one query parameter.

    `code` says it for programs, and is the same in every language.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    code: str = ""

    def __post_init__(self) -> None:
        """Its code, by its sentence."""
        if not self.code:
            msgspec.structs.force_setattr(self, "code", languages.code_of(self.detail))

    def said(self, language: str) -> "FieldError":
        """The same in a language."""
        return msgspec.structs.replace(self, detail=languages.translated(self.detail, language))


class Problem(msgspec.Struct):
    """Problem details. `type` is about:blank, or a name of ours for what went wrong."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | msgspec.UnsetType = msgspec.UNSET
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
    error_count: int | msgspec.UnsetType = msgspec.UNSET  # where `errors` does not name all


class ProblemError(Exception):
    """Ends the request with problem details."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        errors: tuple[FieldError, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.errors = errors[:MOST_ERRORS]
        self.error_count = len(errors)
        self.headers = headers or {}


def in_body(field: str, detail: str) -> FieldError:
    """An error of a field in the body; dots in its name lead into objects and lists."""
    return at(field.split("."), detail)


def at(place: Iterable[str | int], detail: str) -> FieldError:
    """An error at a place in the body: names of fields, and indexes in lists (RFC 6901)."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in place)
    pointer = "".join(("#", *(f"/{part}" for part in parts)))
    # A name from a body may hold half of a surrogate pair, which no answer can.
    return FieldError(detail, pointer=pointer.encode(errors="backslashreplace").decode())


def in_query(parameter: str, detail: str) -> FieldError:
    """An error of a query parameter."""
    return FieldError(detail, parameter=parameter)


def invalid(*errors: FieldError) -> ProblemError:
    """422: understood, and refused for these fields."""
    return ProblemError(422, "Some fields are not valid.", kind="invalid", errors=errors)


def unauthorized(detail: str) -> ProblemError:
    """401, with the challenge that RFC 6750 asks for."""
    return ProblemError(401, detail, headers={"WWW-Authenticate": 'Bearer realm="shardstack"'})


def too_many(retry_after: int) -> ProblemError:
    """429: more of the same kind than the limit lets through (RFC 6585)."""
    return ProblemError(
        429,
        say(
            "There were too many of these requests. Try again in {seconds} s.", seconds=retry_after
        ),
        kind="throttled",
        headers={"Retry-After": str(retry_after)},
    )


def unavailable(retry_after: int) -> ProblemError:
    """503: the database did not answer in time."""
    return ProblemError(
        503,
        "The database did not answer in time. Whether the request took effect is not known.",
        kind="unavailable",
        headers={"Retry-After": str(retry_after)},
    )


def document(problem: ProblemError, request_id: str | None, language: str) -> bytes:
    """The body of the answer, in this language."""
    body: dict[str, object] = {
        "type": f"urn:shardstack:problem:{problem.kind}" if problem.kind else "about:blank",
        "title": languages.title(problem.status, language),
        "status": problem.status,
        "detail": languages.translated(problem.detail, language),
    }
    if request_id is not None:
        body["request_id"] = request_id
    if problem.errors:
        body["errors"] = [one.said(language) for one in problem.errors]
        if problem.error_count > len(problem.errors):
            body["error_count"] = problem.error_count
    return msgspec.json.encode(body)


def overloaded() -> ProblemError:
    """503: no thread was free for it in time. It had no effect."""
    return ProblemError(
        503,
        "There are more requests than this server can answer in time. This one had no effect.",
        kind="overloaded",
        headers={"Retry-After": "1"},
    )


def asked_for() -> str:
    """The language of the current request's answer."""
    return languages.chosen(request.headers.get("Accept-Language"))


def render(problem: ProblemError) -> Response:
    """The response for a problem."""
    request_id = g.get("request_id") if has_request_context() else None
    language = asked_for() if has_request_context() else languages.ENGLISH
    body = document(problem, request_id, language)
    response = Response(body, problem.status, mimetype=MEDIA_TYPE)
    response.headers.update({**languages.headers(language), **problem.headers})
    return response


# Werkzeug's own sentences, where ours say more to the consumer of an API.
DETAILS = {
    404: "There is nothing at this address.",
    413: "The body is larger than this server takes.",
    405: "This address does not take that method.",
}


def methods_at(rule: Rule, path: str) -> set[str]:
    """The methods of a rule without variables that is this very address."""
    return (rule.methods or set()) if rule.rule == path else set()


def install(app: Flask) -> None:
    """Turn everything that is raised into problem details."""

    @app.errorhandler(ProblemError)
    def on_problem(error: ProblemError) -> Response:
        return render(error)

    @app.errorhandler(HTTPException)
    def on_http(error: HTTPException) -> Response:
        status = error.code or 500
        detail = DETAILS.get(status) or error.description or HTTPStatus(status).phrase
        keep = {k: v for k, v in error.get_headers() if k in ("Allow", "Retry-After", "Location")}
        if status == 405:
            # Of /users/export, not of /users/{id} as well, which matches the same address.
            own = {m for rule in app.url_map.iter_rules() for m in methods_at(rule, request.path)}
            keep |= {"Allow": ", ".join(sorted(own))} if own else {}
        return render(ProblemError(status, detail, headers=keep))

    @app.errorhandler(Exception)
    def on_bug(error: Exception) -> Response:
        log.error("unexpected", exc_info=error)
        return render(ProblemError(500, "Something went wrong on our side."))

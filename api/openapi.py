"""The description of the API (OpenAPI 3.1), made from what the routes declare of themselves.

From the route table come paths, parameters, bodies and answers. Every route is in it, and nothing
else: the table is Flask's own, the rest comes from the views' operations, and who needs no token
from the gate's list. Schemas of bodies and parameters are msgspec's, with what the fields' rules
add.

It is served as `GET /api/v1/openapi.json`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from flask import Blueprint, Flask, Response, current_app
from werkzeug.routing import Rule as Route

from api.auth import cookies, gate
from api.dashboard import CLIENT
from api.docs import VIEWER
from api.errors import ApiError
from api.web import operations, queries
from api.web.body import Rules
from api.web.expected import INTEGERS
from api.web.operations import Answer, Operation, operation
from api.web.problems import Problem
from api.web.static import Fixed
from api.web.text import Rule, schema_of

Json = dict[str, Any]

NO_NUL = "^[^\\u0000]*$"
TEMPLATE = "#/components/schemas/{name}"


class Schemas:
    """All schemas that operations use; `components` by name."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        types: list[Any] = [Problem]
        for one in operations:
            answers = [answer.shape for answer in one.answers.values()]
            types += [*one.body, *(shape for shape in answers if shape is not None)]
            if one.query is not None:
                types.append(one.query)
        unique = list({id(kind): kind for kind in types}.values())
        made, components = msgspec.json.schema_components(unique, ref_template=TEMPLATE)
        self._schemas = {id(kind): schema for kind, schema in zip(unique, made, strict=True)}
        self._kept = unique  # so that no id is given out twice
        self.components: dict[str, Json] = components
        self._formats: dict[str, str] = {}
        self._inlined: set[str] = set()
        for one in operations:
            for shape in one.body:
                self._add_rules(shape, one.rules)
        while unused := self._unused():
            del components[unused]
        queries = {one.query for one in operations if one.query is not None}
        self._queries = {query: self._resolve(self.ref(query)) for query in queries}
        for query in queries:  # shown as parameters, not as objects
            del components[query.__name__]

    def ref(self, kind: Any) -> Json:
        """The schema of a type, as a reference where it has a name."""
        return self._schemas[id(kind)]

    def parts(self, kind: Any) -> Json:
        """The media types that the files of a form may be of."""
        fields = self._resolve(self.ref(kind))["properties"].items()
        return {
            name: {"contentType": field["contentMediaType"]}
            for name, field in fields
            if "contentMediaType" in field
        }

    def formats(self) -> str:
        """The named formats, in words."""
        return "\n".join(f"- `{name}`: {text}" for name, text in sorted(self._formats.items()))

    def parameters(self, query: type[msgspec.Struct], rules: Rules) -> Iterator[Json]:
        """The query parameters that a struct stands for."""
        schema = self._queries[query]
        for name, given in schema.get("properties", {}).items():
            kept = _without_null(given)
            field, _, operator = name.partition("[")
            if field in rules and operator in ("", "in]"):  # a prefix need not be a whole value
                self._add_rule(rules[field], kept.get("items", kept))
            parameter: Json = {"name": name, "in": "query", "schema": kept}
            if name in schema.get("required", ()):
                parameter["required"] = True
            meaning = kept.pop("description", None)
            if meaning:
                parameter["description"] = meaning
            if kept.get("type") == "integer":  # of so many digits they are read
                kept.setdefault("maximum", 10**queries.DIGITS - 1)
                kept.setdefault("minimum", 1 - 10**queries.DIGITS)
            _bound(kept.get("items", kept))
            if kept.get("type") == "array":
                parameter |= {"style": "form", "explode": False}
            yield parameter

    def _resolve(self, schema: Json) -> Json:
        ref = schema.get("$ref")
        return self.components[ref.rpartition("/")[2]] if ref else schema

    def _add_rules(self, shape: type[msgspec.Struct], rules: Rules) -> None:
        schema = self._resolve(self.ref(shape))
        extra: Json = getattr(shape, "json_schema", {})
        schema.update(extra)
        for name, given in schema["properties"].items():
            self._complete(given, rules, name)

    def _complete(self, given: Json, rules: Rules, name: str) -> None:
        """Add what the rules say of the texts in a field, and the bounds of all that is stored."""
        for branch in given.get("anyOf", [given]):
            whole = self._resolve(branch)
            if "properties" in whole:
                # The object as it is here: another resource may have other rules for its like.
                self._inlined.add(branch.pop("$ref").rpartition("/")[2])
                branch.update({**deepcopy(whole), **branch})
                for inner, one in branch["properties"].items():
                    self._complete(one, rules, f"{name}.{inner}")
            elif "items" in branch:
                self._complete(branch["items"], rules, name)
            else:
                if name in rules:
                    self._add_rule(rules[name], branch)
                _bound(branch)

    def _unused(self) -> str | None:
        """An object that stands within bodies only, if there is one."""
        text = msgspec.json.encode([*self._schemas.values(), self.components]).decode()
        left = self._inlined & self.components.keys()
        return next((n for n in left if f'"{TEMPLATE.format(name=n)}"' not in text), None)

    def _add_rule(self, rule: Rule, schema: Json) -> None:
        keywords = schema_of(rule)
        if schema.get("type") == "string" and "enum" not in schema and keywords:
            words = {"description"}  # told once for all, where the formats are explained
            schema.update({key: of for key, of in keywords.items() if key not in words})
            self._formats[keywords["format"]] = keywords["description"]


def _bound(schema: Json) -> None:
    """Say what no value can be, of whatever type: what the database does not hold."""
    if schema.get("type") == "string" and not schema.keys() & {"enum", "format", "pattern"}:
        schema["pattern"] = NO_NUL
    if schema.get("type") == "integer":
        schema.setdefault("minimum", INTEGERS[0])
        schema.setdefault("maximum", INTEGERS[-1])


def _without_null(schema: Json) -> Json:
    """A parameter is there or not, never null."""
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    if len(branches) == 1:
        rest |= branches[0]
    elif branches:
        rest["anyOf"] = branches
    default = schema.get("default")
    return rest if default is None else {**rest, "default": default}


SAFE = cookies.SAFE
SECURITY_HEADERS = frozenset({cookies.HEADER, "Authorization"})

TAGS = r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'  # entity tags: RFC 9110, 8.8.3

KEY = r'^("[ !#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$'  # RFC 8941, 3.3.3; quotes may be left out

PATH: dict[str, Json] = {
    "asset": {"type": "string", "enum": list(VIEWER.assets)},
    "file": {"type": "string", "enum": list(CLIENT.assets)},
    "document_id": {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"},
}

HEADERS: dict[str, Json] = {
    "If-Match": {"type": "string", "pattern": TAGS, "examples": ['"1"']},
    "If-None-Match": {"type": "string", "pattern": TAGS, "examples": ['"0"']},
    "Idempotency-Key": {"type": "string", "pattern": KEY},
}

SECURITY_SCHEMES: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access_token of /api/v1/auth/login.",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": cookies.ACCESS,
        "description": 'The cookie of /api/v1/auth/login with "mode": "cookie".',
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": cookies.HEADER,
        "description": "The csrf_token that came with the cookie.",
    },
}

MEANINGS = {
    400: "The body, the address or a header is malformed",
    401: "No token, or one that is not valid; or a fresh log-in is needed (RFC 9470)",
    403: "Not allowed",
    404: "There is no such document, or none you may know of",
    408: "The body did not arrive in time",
    409: "A value is taken, or somebody else changed the document first",
    410: "It was there, and has been deleted",
    412: "The document is not at the version that the condition names",
    413: "The body is too large",
    414: "The address is too long",
    415: "The body is of another media type, or in a content coding",
    422: "Some fields or parameters are not valid; each is named",
    428: "A condition is required",
    429: "Too many requests; Retry-After says when again",
    503: "The database did not answer in time; Retry-After says when again",
}


def response(status: int) -> Json:
    """The problem details of a status."""
    meaning = MEANINGS.get(status, HTTPStatus(status).phrase)
    made: Json = {
        "description": meaning,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
    spoken = {"description": "The language it is in", "schema": {"type": "string"}}
    made["headers"] = {"Content-Language": spoken}
    if status == 414:  # the server's own; the application never sees such a request
        made["content"] = {"text/html": {"schema": {"type": "string"}}}
    if status == 401:
        challenge = {"description": "Why, and what to do", "schema": {"type": "string"}}
        made["headers"]["WWW-Authenticate"] = challenge
    if status == 415:
        coding = {"description": "The content codings that are taken", "schema": {"type": "string"}}
        made["headers"]["Accept-Encoding"] = coding
    if status in (429, 503):
        seconds = {"description": "Seconds to wait", "schema": {"type": "string"}}
        made["headers"]["Retry-After"] = seconds
    return made


TITLE = "shardstack"
ABOUT = """CRUD over a sharded MongoDB cluster, secured by JWT.

Log in at `/api/v1/auth/login` and send the token as `Authorization: Bearer …`; browsers may use
cookies instead, and then repeat the CSRF token in a header. Every error is a problem detail (RFC
9457) that names each wrong field. Its titles and details are in the language of `Accept-Language`,
English or Spanish; `type` and `errors[].code` are the same in both. Lengths of texts are those of
their normal form (Unicode NFC, without invisible characters), as they are kept. Besides the usual
formats, strings have these:

"""
MULTIPART, NDJSON = "multipart/form-data", "application/x-ndjson"


class UndescribedError(ApiError):
    """A route has no operation. The message names it."""


def describe(app: Flask, public: frozenset[str], version: str) -> Json:
    """The whole description. `public`: the endpoints that need no token."""
    found = list(_operations(app))
    known = Schemas([one for *_, one in found])
    paths: dict[str, Json] = {}
    problems: set[int] = set()
    for rule, method, one in found:
        described = _Described(rule, method, one, known, rule.endpoint in public)
        paths.setdefault(_path(rule), {})[method.lower()] = described.made()
        problems |= described.problems()
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": version, "description": ABOUT + known.formats()},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(rule) for rule, *_ in found)],
        "paths": paths,
        "components": {
            "schemas": known.components,
            "responses": {str(status): response(status) for status in sorted(problems)},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _operations(app: Flask) -> Iterator[tuple[Route, str, Operation]]:
    for rule in app.url_map.iter_rules():
        operation = operations.of(app.view_functions[rule.endpoint])
        if operation is None:
            raise UndescribedError(
                f"the view {rule.endpoint} has no operation. Declare one: api/web/operations.py"
            )
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method, operation


def _path(rule: Route) -> str:
    return re.sub(r"<(?:[^:<>]*:)?([^<>]+)>", r"{\1}", rule.rule)


def _tag(rule: Route) -> str:
    return str(rule.endpoint).partition(".")[0]


class _Described:
    """One operation of one path."""

    def __init__(
        self, rule: Route, method: str, operation: Operation, known: Schemas, public: bool
    ) -> None:
        self._rule = rule
        self._method = method
        self._operation = operation
        self._known = known
        self._public = public
        self._either = rule.endpoint in gate.EITHER

    def made(self) -> Json:
        operation = self._operation
        found: Json = {
            "operationId": self._rule.endpoint.replace(".", "_"),
            "tags": [_tag(self._rule)],
            "summary": operation.summary.rstrip("."),
        }
        if operation.details:
            found["description"] = operation.details
        parameters = [*self._in_path(), *self._in_query(), *self._in_headers()]
        if parameters:
            found["parameters"] = parameters
        if operation.body:
            found["requestBody"] = self._body(operation.body)
        found["responses"] = dict(sorted(self._responses()))
        found["security"] = self._security()
        if operation.who is not None:
            found["x-who"] = operation.who
        return found

    def _in_path(self) -> Iterator[Json]:
        for name in sorted(self._rule.arguments):
            schema = PATH.get(name, {"type": "string"})
            yield {"name": name, "in": "path", "required": True, "schema": schema}

    def _in_query(self) -> Iterator[Json]:
        if self._operation.query is not None:
            yield from self._known.parameters(self._operation.query, self._operation.rules)

    def _in_headers(self) -> Iterator[Json]:
        for name, meaning in self._operation.headers.items():
            if name in SECURITY_HEADERS:  # said by the security schemes
                continue
            schema = HEADERS.get(name, {"type": "string"})
            yield {"name": name, "in": "header", "description": meaning, "schema": schema}

    def _body(self, shapes: tuple[type, ...]) -> Json:
        refs = [self._known.ref(shape) for shape in shapes]
        # Several bodies: which one counts depends on who sends it.
        schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
        content: Json = {"schema": schema}
        if self._operation.media == MULTIPART:
            content["encoding"] = self._known.parts(shapes[0])
        elif self._operation.media == NDJSON:
            # The whole is no JSON, and a wrong line is reported rather than refused with the rest.
            content = {"schema": {}, "x-line": schema}
        return {"required": True, "content": {self._operation.media: content}}

    def _responses(self) -> Iterator[tuple[str, Json]]:
        for status, answer in self._operation.answers.items():
            response: Json = {"description": answer.description}
            if answer.headers:
                response["headers"] = {
                    name: {"description": meaning, "schema": {"type": "string"}}
                    for name, meaning in answer.headers.items()
                }
            if answer.shape is not None:
                schema = self._known.ref(answer.shape)
                media = answer.media if isinstance(answer.media, tuple) else (answer.media,)
                response["content"] = {one: {"schema": schema} for one in media}
            yield str(status), response
        for status in self.problems():
            yield str(status), {"$ref": f"#/components/responses/{status}"}

    def problems(self) -> set[int]:
        """The declared ones, and those that follow from what the route takes."""
        operation = self._operation
        found = set(operation.problems) | {503}
        if not self._public or self._either:
            found |= {401, 403}  # not this user, or cookies without the CSRF token
        if operation.body:
            found |= {400, 413, 415, 422}
        if operation.query is not None:
            found |= {400, 414, 422}
        if self._rule.arguments:
            found |= {400, 404}
        if set(operation.headers) & set(HEADERS):
            found.add(400)
        return found - set(operation.answers)

    def _security(self) -> list[Mapping[str, list[str]]]:
        if self._public and not self._either:
            return []
        cookie = ["cookie"] if self._method in SAFE else ["cookie", "csrf"]
        nobody: list[Mapping[str, list[str]]] = [{}] if self._either else []
        return [*nobody, {"bearer": []}, {name: [] for name in cookie}]


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
    def made() -> Fixed:
        """At the first request: by then all routes are there. They never change after."""
        return Fixed.of(text(current_app, public))

    @openapi.get("/openapi.json")
    @operation(
        answers={
            200: Answer(shape=dict, headers={"ETag": "Changes with the description"}),
            304: Answer(description="Not modified: you have this version"),
        },
    )
    def show() -> Response:
        """This description of the API, OpenAPI 3.1."""
        return made().response("application/json")

    return openapi

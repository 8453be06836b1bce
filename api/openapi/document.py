"""From the route table to the description: paths, parameters, bodies, answers.

Every route is in it, and nothing else: the table is Flask's own, the rest comes from the views'
operations, and who needs no token from the gate's list.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from api.errors import ApiError
from api.openapi import parts, schemas
from api.web import operations
from api.web.operations import Operation

Json = dict[str, Any]

TITLE = "shardstack"
ABOUT = """CRUD over a sharded MongoDB cluster, secured by JWT.

Log in at `/api/v1/auth/login` and send the token as `Authorization: Bearer …`; browsers may use
cookies instead, and then repeat the CSRF token in a header. Every error is a problem detail
(RFC 9457) that names each wrong field. Lengths of texts are those of their normal form (Unicode
NFC, without invisible characters), as they are kept. Besides the usual formats, strings have these:

"""
MULTIPART, NDJSON = "multipart/form-data", "application/x-ndjson"


class UndescribedError(ApiError):
    """A route has no operation. The message names it."""


def describe(app: Flask, public: frozenset[str], version: str) -> Json:
    """The whole description. `public`: the endpoints that need no token."""
    found = list(_operations(app))
    known = schemas.Schemas([operation for *_, operation in found])
    paths: dict[str, Json] = {}
    problems: set[int] = set()
    for rule, method, operation in found:
        described = _Described(rule, method, operation, known, rule.endpoint in public)
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
            "responses": {str(status): parts.response(status) for status in sorted(problems)},
            "securitySchemes": parts.SECURITY_SCHEMES,
        },
    }


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Operation]]:
    for rule in app.url_map.iter_rules():
        operation = operations.of(app.view_functions[rule.endpoint])
        if operation is None:
            raise UndescribedError(
                f"the view {rule.endpoint} has no operation. Declare one: api/web/operations.py"
            )
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method, operation


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:[^:<>]*:)?([^<>]+)>", r"{\1}", rule.rule)


def _tag(rule: Rule) -> str:
    return str(rule.endpoint).partition(".")[0]


class _Described:
    """One operation of one path."""

    def __init__(
        self, rule: Rule, method: str, operation: Operation, known: schemas.Schemas, public: bool
    ) -> None:
        self._rule = rule
        self._method = method
        self._operation = operation
        self._known = known
        self._public = public

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
        return found

    def _in_path(self) -> Iterator[Json]:
        for name in sorted(self._rule.arguments):
            schema = parts.PATH.get(name, {"type": "string"})
            yield {"name": name, "in": "path", "required": True, "schema": schema}

    def _in_query(self) -> Iterator[Json]:
        if self._operation.query is not None:
            yield from self._known.parameters(self._operation.query, self._operation.rules)

    def _in_headers(self) -> Iterator[Json]:
        for name, meaning in self._operation.headers.items():
            if name in parts.SECURITY_HEADERS:  # said by the security schemes
                continue
            schema = parts.HEADERS.get(name, {"type": "string"})
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
        if not self._public:
            found |= {401, 403}  # not this user, or cookies without the CSRF token
        if operation.body:
            found |= {400, 413, 415, 422}
        if operation.query is not None:
            found |= {400, 414, 422}
        if self._rule.arguments:
            found |= {400, 404}
        if set(operation.headers) & set(parts.HEADERS):
            found.add(400)
        return found - set(operation.answers)

    def _security(self) -> list[Mapping[str, list[str]]]:
        if self._public:
            return []
        cookie = ["cookie"] if self._method in parts.SAFE else ["cookie", "csrf"]
        return [{"bearer": []}, {name: [] for name in cookie}]

"""The description of the API tells of every route, and is what OpenAPI 3.1 asks for."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from click.testing import CliRunner
from flask import Flask, Response

from api.__main__ import main
from api.app import create_app
from api.auth.gate import EITHER, METRICS, PUBLIC
from api.openapi import UndescribedError, describe
from api.settings import Settings
from api.web import operations
from api.web.operations import Operation
from api.web.text import schema_of

Json = dict[str, Any]
ANY = [{"bearer": []}, {"cookie": [], "csrf": []}]


@pytest.fixture(scope="module")
def app() -> Flask:
    """Without a database: none is needed to describe."""
    secret = secrets.token_urlsafe(48)
    return create_app(Settings(database_uri="mongodb://127.0.0.1:1/x", jwt_secret=secret))


@pytest.fixture(scope="module")
def description(app: Flask) -> Json:
    return describe(app, PUBLIC, "1")


def declared(app: Flask) -> list[tuple[str, Operation]]:
    found = []
    for endpoint, view in app.view_functions.items():
        operation = operations.of(view)
        assert operation is not None, f"{endpoint} has no operation"
        found.append((endpoint, operation))
    return found


def references(node: Any) -> Iterator[str]:
    """Every $ref below."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_route_table_is_the_paths(app: Flask, description: Json) -> None:
    table = {
        (re.sub(r"<(?:\w+:)?([^>]+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    paths = {(path, method) for path, item in description["paths"].items() for method in item}
    assert paths == table


def test_a_view_without_operation_is_an_error() -> None:
    app = Flask("x", static_folder=None)
    app.add_url_rule("/x", "x.y", Response)
    with pytest.raises(UndescribedError, match=r"x\.y"):
        describe(app, PUBLIC, "1")


def test_it_is_openapi(description: Json) -> None:
    schemathesis.openapi.from_dict(description).validate()


def test_every_reference_leads_somewhere(description: Json) -> None:
    for reference in references(description):
        node = description
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_who_needs_no_token(app: Flask, description: Json) -> None:
    by_id = {
        found["operationId"]: found
        for item in description["paths"].values()
        for found in item.values()
    }
    for endpoint in app.view_functions:
        found = by_id[endpoint.replace(".", "_")]
        assert (found["security"] in ([], [{}, *ANY])) == (endpoint in PUBLIC)
        assert ({} in found["security"]) == (endpoint in EITHER)
        assert ("401" in found["responses"]) or endpoint in PUBLIC - EITHER
    assert METRICS in app.view_functions


def test_every_operation_has_a_summary(app: Flask) -> None:
    for endpoint, operation in declared(app):
        assert 5 < len(operation.summary) < 110, (endpoint, operation.summary)


def test_every_rule_says_what_it_is(app: Flask) -> None:
    """A rule without a schema makes the description admit what the rule refuses."""
    for endpoint, operation in declared(app):
        for name, rule in operation.rules.items():
            assert schema_of(rule).get("format"), (endpoint, name)
            assert schema_of(rule).get("description"), (endpoint, name)


def test_examples_are_valid(app: Flask, description: Json) -> None:
    seen = 0
    for endpoint, operation in declared(app):
        for shape in operation.body:
            schema = description["components"]["schemas"][shape.__name__]
            for example in schema.get("examples", []):
                msgspec.convert(example, shape)
                seen += 1
            for name, field in schema["properties"].items():
                for branch in field.get("anyOf", [field]):
                    for example in branch.get("examples", []):
                        rule: Callable[[str], str] = operation.rules.get(name, lambda text: text)
                        assert rule(example), (endpoint, name)
                        seen += 1
    assert seen > 10


def test_it_is_public_and_cached(app: Flask) -> None:
    client = app.test_client()
    first = client.get("/api/v1/openapi.json")
    assert first.status_code == 200
    assert first.json is not None
    assert first.json["openapi"].startswith("3.1")
    again = client.get("/api/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert not again.data


def test_the_command() -> None:
    done = CliRunner().invoke(main, ["openapi"])
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.output)["paths"]) > {"/healthz", "/api/v1/auth/login"}

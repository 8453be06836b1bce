"""Problem details, logs, request ids, health names."""

import json

import msgspec
import pytest
from flask import Flask, abort

from api.web import body, health, logs, problems
from api.web.problems import ProblemError


@pytest.fixture
def app() -> Flask:
    app = Flask("test", static_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    problems.install(app)

    @app.get("/bug")
    def bug() -> str:
        raise RuntimeError("mongodb://user:hunter2-secret@host")

    @app.get("/teapot")
    def teapot() -> str:
        abort(418)

    @app.get("/problem")
    def problem() -> str:
        raise ProblemError(
            409, "Taken.", kind="duplicate", errors=(problems.in_body("a/b~c", "x"),)
        )

    return app


def test_shape(app: Flask) -> None:
    answer = app.test_client().get("/problem")
    assert answer.mimetype == "application/problem+json"
    assert answer.json == {
        "type": "urn:shardstack:problem:duplicate",
        "title": "Conflict",
        "status": 409,
        "detail": "Taken.",
        "errors": [{"detail": "x", "pointer": "#/a~1b~0c", "code": "invalid"}],
    }


def test_bugs_tell_nothing(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    answer = app.test_client().get("/bug")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    assert "RuntimeError" in capsys.readouterr().out  # but the log does


def test_what_flask_raises_has_the_same_shape(app: Flask) -> None:
    for path, status in (("/nothing", 404), ("/teapot", 418)):
        answer = app.test_client().get(path)
        assert (answer.status_code, answer.mimetype) == (status, problems.MEDIA_TYPE)


def test_405_says_what_is_allowed(app: Flask) -> None:
    answer = app.test_client().post("/problem")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_logs_are_json_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    problems.log.info("x", user_password="hunter2", jwt_secret="s3", Authorization="Bearer y", n=1)
    line = json.loads(capsys.readouterr().out)
    assert line["n"] == 1
    assert {line["user_password"], line["jwt_secret"], line["Authorization"]} == {logs.HIDDEN}


def test_logs_obey_and_hide_nothing_on_a_terminal() -> None:
    line = logs.encode({"name": "Zoë\u202e\x9b31m\x7f\u200b"})
    assert line == '{"name":"Zoë\\u202e\\u009b31m\\u007f\\u200b"}'
    assert json.loads(line)["name"] == "Zoë\u202e\x9b31m\x7f\u200b"


@pytest.mark.parametrize(
    ("build", "hello", "name"),
    [
        (
            {"version": "6.0.5", "router": "stand-in"},
            {"msg": "isdbgrid"},
            "stand-in router (MongoDB 6.0.5)",
        ),
        ({"version": "7.0.1"}, {"msg": "isdbgrid"}, "mongos 7.0.1"),
        ({"version": "7.0.1"}, {}, "no router (mongod 7.0.1)"),
    ],
)
def test_router_names(build: dict[str, str], hello: dict[str, str], name: str) -> None:
    assert health.router_name(build, hello) == name


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    count: int | msgspec.UnsetType = msgspec.UNSET


body.prepare(Shape)


def test_bodies_name_every_fault(app: Flask) -> None:
    def rule(_text: str) -> str:
        raise ValueError("Never right.")

    def pointers(data: str) -> list[str | None]:
        with app.test_request_context(data=data, content_type="application/json", method="POST"):
            with pytest.raises(ProblemError) as caught:
                body.read(Shape, {"name": rule})
            return sorted(str(e.pointer) for e in caught.value.errors)

    assert pointers('{"name": "x"}') == ["#/name"]
    assert pointers('{"count": "x", "more": 1}') == ["#/count", "#/more", "#/name"]
    assert pointers("[]") == ["#"]
    assert pointers("{") == []


def test_unset_fields_are_left_out(app: Flask) -> None:
    with app.test_request_context(
        data='{"name": "x"}', content_type="application/json", method="POST"
    ):
        assert body.read(Shape, {}) == {"name": "x"}

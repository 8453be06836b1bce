"""Deadlines and limits of requests, as operations declare them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask, Response, request

from api.store.deadline import begin_tally
from api.web import body, problems
from api.web.metrics import Meter
from api.web.operations import Answer, operation
from api.web.requests import ARRIVED, Requests

USUAL = 10.0
LIMIT = 100
OK = {200: Answer()}


class Bounds:
    """Notes the deadline that is in force."""

    now: float | None = None

    @contextmanager
    def bounded(self, seconds: float) -> Iterator[None]:
        self.now = seconds
        try:
            yield
        finally:
            self.now = None


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


@pytest.fixture
def app(bounds: Bounds) -> Flask:
    app = Flask("x")
    problems.install(app)
    body.limit(app, LIMIT)
    Requests(bounds.bounded, USUAL, begin_tally, Meter()).install(app)

    @app.get("/usual")
    @operation(answers=OK)
    def usual() -> Response:
        return Response(str(bounds.now))

    @app.get("/undeclared")
    def undeclared() -> Response:
        return Response(str(bounds.now))

    @app.get("/slow")
    @operation(answers=OK, deadline=600)
    def slow() -> Response:
        return Response(str(bounds.now))

    @app.get("/streamed")
    @operation(answers=OK, deadline=600)
    def streamed() -> Response:
        return Response(str(bounds.now) for _ in range(2))

    @app.post("/small")
    @operation(answers=OK)
    def small() -> Response:
        return Response(str(len(request.get_data())))

    @app.post("/large")
    @operation(answers=OK, body_limit=1000)
    def large() -> Response:
        return Response(str(len(request.get_data())))

    return app


def test_deadlines(app: Flask, bounds: Bounds) -> None:
    client = app.test_client()
    assert client.get("/usual").text == "10.0"
    assert client.get("/undeclared").text == "10.0"
    assert client.get("/slow").text == "600"
    assert bounds.now is None


def test_a_streamed_answer_has_the_rest_of_the_deadline(app: Flask, bounds: Bounds) -> None:
    answer = app.test_client().get("/streamed")
    left = float(answer.text[: len(answer.text) // 2])
    assert 590 < left < 600
    assert bounds.now is None


def test_limits(app: Flask) -> None:
    client = app.test_client()
    assert client.post("/small", data=b"x" * LIMIT).text == str(LIMIT)
    assert client.post("/small", data=b"x" * (LIMIT + 1)).status_code == 413
    assert client.post("/large", data=b"x" * 1000).text == "1000"
    assert client.post("/large", data=b"x" * 1001).status_code == 413


def test_allow_names_the_methods_of_the_nearest_route(app: Flask) -> None:
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.add_url_rule("/things/<thing>", "one", lambda thing: thing, methods=["GET", "DELETE"])
    app.add_url_rule("/things/all", "all", lambda: "", methods=["GET"])
    answer = app.test_client().put("/things/all")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    other = app.test_client().put("/things/1")
    assert set(other.headers["Allow"].split(", ")) == {"GET", "HEAD", "DELETE"}


def test_waiting_for_a_thread_is_part_of_the_deadline(app: Flask) -> None:
    client = app.test_client()
    began = time.perf_counter() - 4
    left = float(client.get("/usual", environ_overrides={ARRIVED: began}).text)
    assert 0 < left <= USUAL - 4
    late = client.get("/usual", environ_overrides={ARRIVED: began - USUAL})
    assert float(late.text) == 0

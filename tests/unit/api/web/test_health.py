"""What /readyz knows of the database: asked by many, looked up by few."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from api.web import health
from api.web.health import Outlook


@contextlib.contextmanager
def bounded(_seconds: float) -> Iterator[None]:
    yield


class Database:
    """Answers, fails, or keeps its callers waiting."""

    def __init__(self) -> None:
        self.reads = 0
        self.answers = threading.Event()
        self.answers.set()
        self.fails = False
        self.outlook = Outlook(self.read, lambda: "mongos 8", bounded)

    def read(self) -> None:
        self.reads += 1
        assert self.answers.wait(60)
        if self.fails:
            raise ConnectionError("nobody there")


def test_one_look_for_all_who_ask_within_a_second() -> None:
    database = Database()
    assert [database.outlook.router() for _ in range(50)] == ["mongos 8"] * 50
    assert database.reads <= health.LOOKS


def test_a_database_that_fails() -> None:
    database = Database()
    database.fails = True
    assert [database.outlook.router() for _ in range(5)] == [None] * 5
    assert database.reads <= health.LOOKS


def test_a_standstill_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it start more looks; and it is over when it is over."""
    monkeypatch.setattr(health, "PATIENCE", 0.01)
    monkeypatch.setattr(health, "FRESH", 0.0)
    database = Database()
    database.answers.clear()
    assert [database.outlook.router() for _ in range(20)] == [None] * 20
    assert database.reads <= health.LOOKS
    database.answers.set()
    monkeypatch.setattr(health, "PATIENCE", 60)
    assert database.outlook.router() == "mongos 8"


def test_what_was_read_lately_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failover takes no replica out of service; nothing for longer than that does."""
    monkeypatch.setattr(health, "FRESH", 0.0)
    database = Database()
    assert database.outlook.router() == "mongos 8"
    database.fails = True
    assert database.outlook.router() == "mongos 8"
    monkeypatch.setattr(health, "GOOD", 0.0)
    assert database.outlook.router() is None

"""What is taken from the servers' logs, as mongod 6.0.5 wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from cluster.drill.history import History
from cluster.drill.judge.logs import clues, detections
from cluster.drill.judge.verdict import Status, judge, read
from cluster.drill.record import What
from cluster.drill.report.page import render
from tests.unit.cluster.drill.runs import FAULT, ORIGIN, RUN, SECOND, Model, event, leave


def line(second: float, number: int, message: str, severity: str = "I", **more: object) -> str:
    """As mongod writes it; seconds since the run began, at 03:04:05."""
    at = f"2026-01-02T03:04:{5 + second:06.3f}+00:00"
    entry = {"t": {"$date": at}, "s": severity, "c": "X", "id": number, "ctx": "c", "msg": message}
    return json.dumps({**entry, **more}) + "\n"


CANDIDATE = "Starting an election, since we've seen no PRIMARY in election timeout period"
LINES = {
    "shard-1-2": [
        line(FAULT + 1.25, 4615652, CANDIDATE, attr={"electionTimeoutPeriodMillis": 1700}),
        line(FAULT + 1.3, 21450, "Election succeeded, assuming primary role", attr={"term": 2}),
        line(FAULT + 1.4, 51800, "client metadata", attr={"doc": {}}),
        '{"t":{"$date":"2026-01-02T03:04:0',
    ],
    "shard-1-3": [
        line(FAULT + 1, 21216, "Member is now in state DOWN", attr={"x": "y" * 500}),
        line(FAULT + 4, 22138, "You are running this as root", "W", tags=["startupWarnings"]),
        line(FAULT + 4.1, 1, "<b>Odd</b>", "E"),
    ],
    "router-1": ["2026-01-02T03:04:09 a router says something\n", "{}\n", "[]\n", "7\n"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with logs."""
    leave(tmp_path, Model().run())
    (tmp_path / "logs").mkdir()
    for node, lines in LINES.items():
        (tmp_path / "logs" / f"{node}.log").write_text("".join(lines), encoding="utf-8")
    return tmp_path


def test_the_lines_of_elections_and_trouble_are_found(folder: Path) -> None:
    found = clues(folder, RUN)
    assert [(one.at, one.node) for one in found] == [
        (FAULT + 1, "shard-1-3"),
        (FAULT + 1.25, "shard-1-2"),
        (FAULT + 1.3, "shard-1-2"),
        (FAULT + 4.1, "shard-1-3"),
    ]
    assert found[2].text == "Election succeeded, assuming primary role (term 2)"
    assert len(found[0].text) < 200


def test_a_candidate_tells_when_the_loss_was_detected(folder: Path) -> None:
    (one,) = detections(folder, RUN)
    assert (one.what, one.node, one.at) == (
        What.DETECTED,
        "shard-1-2",
        ORIGIN + round((FAULT + 1.25) * SECOND),
    )
    (turn,) = read(folder).cost.turns
    assert turn.detected == pytest.approx(1.25)
    assert turn.elected == 1.4


def test_what_the_run_says_itself_goes_before(folder: Path) -> None:
    run = replace(RUN, events=(*RUN.events, event(FAULT + 0.5, What.DETECTED)))
    leave_again(folder, run)
    assert read(folder).cost.turns[0].detected == pytest.approx(0.5)


def leave_again(folder: Path, run: object) -> None:
    (folder / "history.jsonl").unlink()
    leave(folder, Model().run(), run)  # type: ignore[arg-type]


def test_the_page_shows_them(folder: Path) -> None:
    html = render(read(folder))
    assert "4 lines</summary>" in html
    assert "&lt;b&gt;Odd&lt;/b&gt;" in html


def test_a_run_without_logs_has_none(tmp_path: Path) -> None:
    leave(tmp_path, History())
    assert clues(tmp_path, RUN) == []
    assert detections(tmp_path, RUN) == []


def test_a_run_that_failed_before_its_load_proves_nothing(tmp_path: Path) -> None:
    leave(tmp_path, History(), replace(RUN, events=(), failed="nothing to write to"))
    (tmp_path / "history.jsonl").unlink()
    found = judge(tmp_path)
    assert found.status is Status.PROVES_NOTHING
    assert found.failed == ("nothing to write to",)

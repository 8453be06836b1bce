"""`python -m api logs`: which lines, and how they look."""

from __future__ import annotations

import json
from pathlib import Path

from api.local import server


def line(event: str, **more: object) -> str:
    return json.dumps(
        {"event": event, "level": "info", "timestamp": "2026-01-02T03:04:05Z", **more}
    )


def every(_line: str) -> bool:
    return True


def test_the_last_lines_of_both_files(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert list(server.log_lines(log, 5, wanted=every)) == []
    (tmp_path / "log.1").write_text("a\nb\n")
    log.write_text("c\nd\n")
    assert list(server.log_lines(log, 3, wanted=every)) == ["b", "c", "d"]
    assert list(server.log_lines(log, 0, wanted=every)) == []


def test_those_of_one_request(tmp_path: Path) -> None:
    log = tmp_path / "log"
    mine = [
        line("unexpected", request_id="r-1", exception="Trace"),
        line("request", request_id="r-1"),
    ]
    others = [line("request", request_id="r-2", user="r-1"), line("started"), "no JSON r-1", "[1]"]
    log.write_text("\n".join([*others, *mine]) + "\n")
    assert list(server.log_lines(log, 50, wanted=server.of_request("r-1"))) == mine


def test_following_goes_on_after_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a\n")
    lines = server.log_lines(log, 10, wanted=every, follow=True)
    assert next(lines) == "a"
    with log.open("a") as file:
        file.write("b\n")
    log.replace(tmp_path / "log.1")
    log.write_text("c\n")
    assert [next(lines), next(lines)] == ["b", "c"]
    lines.close()


def test_readable() -> None:
    assert server.readable(line("request", request_id="r", status=500, user=None)) == (
        "2026-01-02T03:04:05Z info    request request_id=r status=500"
    )
    assert server.readable(line("bug", exception="Trace\n  x")).endswith(" bug\nTrace\n  x")
    assert server.readable("no JSON") == "no JSON"

"""The document of a run, the table of several, and the commands that print them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from cluster.drill.commands import drill
from cluster.drill.history import History
from cluster.drill.judge.verdict import judge, read
from cluster.drill.report.comparison import HEAD, markdown, rows
from cluster.drill.report.junit import as_junit
from cluster.drill.report.results import VERSION, Results, results, write
from cluster.errors import DrillError
from tests.unit.cluster.drill.judge.test_verdict import without_one
from tests.unit.cluster.drill.runs import RUN, Model, leave


@pytest.fixture(scope="module")
def good() -> History:
    return Model().run()


@pytest.fixture
def three(tmp_path: Path, good: History) -> Path:
    """Two runs under the same conditions, and one with a longer election timeout."""
    leave(tmp_path / "a" / "1", good)
    leave(tmp_path / "a" / "2", Model(seed=2).run())
    away = (("shard-1", 2.0, 5.0),)
    leave(tmp_path / "b", Model(away=away).run(8.0), replace(RUN, election_timeout=10.0))
    return tmp_path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(drill, [str(one) for one in arguments])


def test_the_document_can_be_read_again_by_its_schema(tmp_path: Path, good: History) -> None:
    found = results(read(leave(tmp_path, without_one(good))))
    file = write(tmp_path, found)
    again = msgspec.json.decode(file.read_bytes(), type=Results)
    assert again == found
    assert (again.version, again.status) == (VERSION, 2)
    (violation,) = again.violations
    assert violation.rule == "lost"
    assert violation.smallest[0].kind == "insert"
    assert len(violation.smallest) <= 3
    assert again.load.share == pytest.approx(again.load.rate / 2000)
    assert [event.at for event in again.events] == [2.0, 2.05, 3.4, 4.0, 5.0]


def test_the_readme_explains_every_field() -> None:
    text = Path("cluster/drill/README.md").read_text(encoding="utf-8")
    section = text.partition("## report.json")[2].partition("\n## ")[0]
    for field in msgspec.structs.fields(Results):
        assert f"`{field.name}`" in section


def test_runs_are_compared_by_what_they_differ_in(three: Path) -> None:
    table = rows([read(three / "a" / "1"), read(three / "a" / "2"), read(three / "b")])
    assert [(row.runs, row.faults) for row in table] == [(2, 2), (1, 1)]
    assert [row.differs for row in table] == [
        {"election timeout": "1.7 s"},
        {"election timeout": "10 s"},
    ]
    lines = markdown(table).splitlines()
    assert lines[0] == f"| {' | '.join(HEAD)} |"
    assert lines[2].startswith("| A shard's primary is killed (election timeout 1.7 s) | 2 | 1.5")
    assert lines[3].endswith("| 0 | 0 | missed |")


def test_the_table_is_printed_as_text_and_as_markdown_and_as_json(three: Path) -> None:
    shown = invoke("report", three)
    assert shown.exit_code == 0
    assert "election timeout 10 s" in " ".join(shown.output.split())
    assert str(three / "b" / "report.html") in shown.output
    assert (three / "a" / "1" / "report.json").exists()
    assert invoke("report", three, "--markdown").output.count("\n") == 4
    found = json.loads(invoke("report", three, "--json").output)
    assert [row["faults"] for row in found["rows"]] == [2, 1]
    assert len(found["reports"]) == 3
    assert invoke("report", three, "--json", "--markdown").exit_code == 2


def test_judge_ends_with_the_worst_status(three: Path, good: History) -> None:
    assert invoke("judge", three / "a").exit_code == 0
    assert invoke("judge", three).exit_code == 1
    leave(three / "c", without_one(good))
    broken = invoke("judge", three, three / "c")
    assert broken.exit_code == 2
    assert broken.output.count("A shard's primary is killed (") == 2
    found = json.loads(invoke("judge", three, "--json").output)
    assert [len(one["folders"]) for one in found] == [3, 1]
    assert {one["name"]: one["met"] for one in found[1]["judged"]}["gap"] is False


def test_judge_writes_junit(three: Path, good: History) -> None:
    leave(three / "c", without_one(good))
    leave(three / "d", good, replace(RUN, target="compose", failed="the fault took\x00 no effect"))
    file = three / "junit.xml"
    assert invoke("judge", three, "--junit", file).exit_code == 2
    suites = ET.fromstring(file.read_text(encoding="utf-8"))  # noqa: S314 - our own
    told = {(s.get("failures"), s.get("errors")) for s in suites}
    assert told == {("1", "0"), ("0", "1")}
    assert all(int(s.get("tests", "")) == len(s) for s in suites)
    assert invoke("judge", three, "--junit", three / "no" / "such").exit_code != 0


def test_junit_of_a_good_run_has_no_failure(tmp_path: Path, good: History) -> None:
    text = as_junit([judge(leave(tmp_path, good))])
    assert 'failures="0" errors="0"' in text
    assert "<failure" not in text


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    refused = invoke("judge", tmp_path)
    assert isinstance(refused.exception, DrillError)
    assert "there is no run in" in str(refused.exception)


def test_the_table_is_put_into_its_places(three: Path) -> None:
    page = three / "page.md"
    empty = "<!-- drill: router-lost -->\n| old |\n<!-- /drill -->\n"
    page.write_text(f"A\n<!-- drill: primary-killed x -->\n<!-- /drill -->\nB\n{empty}", "utf-8")
    arguments = ("report", three, "--markdown", "--into", page)
    table = invoke(*arguments).output
    filled = f"A\n<!-- drill: primary-killed x -->\n{table}<!-- /drill -->\nB\n{empty}"
    assert page.read_text("utf-8") == filled
    assert invoke(*arguments).exit_code == 0
    assert page.read_text("utf-8") == filled
    page.write_text("no place", "utf-8")
    refused = invoke(*arguments)
    assert isinstance(refused.exception, DrillError)
    assert page.read_text("utf-8") == "no place"
    missing = invoke("report", three, "--into", three / "missing.md")
    assert isinstance(missing.exception, DrillError)

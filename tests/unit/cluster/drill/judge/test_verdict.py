"""What a run is judged to be, and with which status a drill then ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from cluster.drill.history import Call, History, Kind, State
from cluster.drill.judge.verdict import Status, judge, judge_all, read, worst
from cluster.drill.record import Expectation, Run, What
from cluster.errors import DrillError
from tests.unit.cluster.drill.runs import EVENTS, RUN, Model, event, leave


@pytest.fixture(scope="module")
def good() -> History:
    return Model().run()


def without_one(history: History) -> History:
    """The same, save that an acknowledged append was forgotten by the store."""
    lost = next(c for c in history.calls if c.kind is Kind.APPEND)
    return History([_forgotten(c, lost.token) for c in history.calls])


def _forgotten(call: Call, token: str) -> Call:
    if call.state is None or token not in call.state.tokens or call.token == token:
        return replace(call, state=None) if call.token == token else call
    left = tuple(one for one in call.state.tokens if one != token)
    return replace(call, state=State(left, len(left)))


def expecting(**limits: float | None) -> Run:
    return replace(RUN, expectation=Expectation(**limits))


def test_a_good_run_passes(tmp_path: Path, good: History) -> None:
    found = judge(leave(tmp_path, good))
    assert found.status is Status.PASSED
    assert all(one.met for one in found.judged)
    names = ["gap", "others_gap", "others_slower", "errors", "elections", "whole"]
    assert [one.name for one in found.judged] == names
    lines = found.text().splitlines()
    assert lines[0] == (
        "A shard's primary is killed (primary-killed, local, through routers): passed"
    )
    assert lines[1] == f"  {tmp_path}"
    assert lines[2].endswith("acknowledged writes is wrong")
    assert any("without an acknowledged write, shard-1: 1.5" in line for line in lines)
    assert lines[-1].startswith("  note: the load was ")


@pytest.mark.parametrize(
    ("limits", "missed"),
    [
        ({"gap": 1.0}, "gap"),
        ({"elections_gap": 0.5}, "elections_gap"),
        ({"others_gap": 0.0001}, "others_gap"),
        ({"others_slower": 0.01}, "others_slower"),
        ({"elections": 0}, "elections"),
        ({"whole": 0.5}, "whole"),
    ],
)
def test_an_expectation_that_is_missed_is_named(
    tmp_path: Path, good: History, limits: dict[str, float], missed: str
) -> None:
    found = judge(leave(tmp_path, good, expecting(**limits)))
    assert found.status is Status.MISSED
    assert [one.name for one in found.judged if not one.met] == [missed]
    assert "an expectation was MISSED" in found.text()


def test_errors_of_clients_are_judged(tmp_path: Path, good: History) -> None:
    refused = replace(good.calls[0], token="x", outcome="failed", error="ApiError: answered 503: …")
    history = History([*good.calls, replace(refused, kind=Kind.APPEND)])
    assert judge(leave(tmp_path / "a", history)).status is Status.MISSED
    allowed = judge(leave(tmp_path / "b", history, expecting(errors=1)))
    assert allowed.status is Status.PASSED
    assert judge(leave(tmp_path / "c", history, expecting(errors=None))).judged == ()


def test_what_could_not_be_measured_is_not_met(tmp_path: Path, good: History) -> None:
    never = [e for e in EVENTS if e.what is not What.WHOLE]
    found = judge(leave(tmp_path, good, replace(RUN, events=tuple(never))))
    (missed,) = [one for one in found.judged if not one.met]
    assert (missed.name, missed.measured) == ("whole", None)
    assert "this was not measured" in missed.text()


def test_a_lost_write_is_broken_whatever_else_is_so(tmp_path: Path, good: History) -> None:
    lost = without_one(good)
    found = judge(leave(tmp_path / "a", lost))
    assert (found.status, len(found.violations)) == (Status.BROKEN, 1)
    assert "LOST OR DOUBLED" in found.text()
    assert "lost: shard-" in found.text()
    stopped = replace(RUN, failed="too many errors")
    assert judge(leave(tmp_path / "b", lost, stopped)).status is Status.BROKEN


def test_a_finding_is_broken(tmp_path: Path, good: History) -> None:
    run = replace(RUN, findings=("shard-1-2 has another dbHash than shard-1-1",))
    found = judge(leave(tmp_path, good, run))
    assert found.status is Status.BROKEN
    assert "found afterwards: shard-1-2 has another dbHash" in found.text()


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (replace(RUN, failed="the fault took no effect"), "the fault took no effect"),
        (replace(RUN, events=()), "no fault was done"),
        (replace(RUN, events=EVENTS[:1] + EVENTS[2:]), "nothing shows that the fault took effect"),
        (
            replace(RUN, events=(*EVENTS, event(4, What.STOPPED, "the disk is full"))),
            "it was stopped: the disk is full",
        ),
    ],
)
def test_a_run_without_an_effective_fault_proves_nothing(
    tmp_path: Path, good: History, run: Run, says: str
) -> None:
    found = judge(leave(tmp_path, good, run))
    assert (found.status, found.judged) == (Status.PROVES_NOTHING, ())
    assert says in found.text()


def test_writes_that_nothing_looked_for_prove_nothing(tmp_path: Path, good: History) -> None:
    unaudited = History([c for c in good.calls if c.client >= 0])
    found = judge(leave(tmp_path, unaudited))
    assert found.status is Status.PROVES_NOTHING
    assert "acknowledged writes afterwards" in found.text()


def test_several_runs_are_judged_together_by_their_median(tmp_path: Path) -> None:
    folders = []
    for number, outage in enumerate((1.0, 1.2, 4.0)):
        away = (("shard-1", 2.0, 2.0 + outage),)
        folders.append(leave(tmp_path / str(number), Model(seed=number, away=away).run(9.0)))
    assert [judge(folder).status for folder in folders] == [0, 0, 1]
    (together,) = judge_all(map(read, folders))
    assert (len(together.folders), together.status) == (3, Status.PASSED)
    (gap,) = [one for one in together.judged if one.name == "gap"]
    assert gap.measured == sorted(gap.values)[1]
    assert "(median of 3, worst 4" in gap.text()


def test_runs_under_other_conditions_are_judged_apart(tmp_path: Path, good: History) -> None:
    slow = replace(RUN, election_timeout=10.0)
    folders = [leave(tmp_path / "a", good), leave(tmp_path / "b", without_one(good), slow)]
    verdicts = judge_all(map(read, folders))
    assert [v.status for v in verdicts] == [Status.PASSED, Status.BROKEN]
    assert worst(verdicts) is Status.BROKEN
    assert worst([]) is Status.PASSED


def test_what_cannot_be_judged_is_said_in_a_line(tmp_path: Path, good: History) -> None:
    with pytest.raises(DrillError, match=r"has no run\.json"):
        judge(tmp_path)
    leave(tmp_path, good)
    (tmp_path / "history.jsonl").write_text("no json\n")
    with pytest.raises(DrillError, match="line 1"):
        judge(tmp_path)
    (tmp_path / "history.jsonl").unlink()
    with pytest.raises(DrillError, match=r"has no history\.jsonl"):
        judge(tmp_path)
    leave(tmp_path, good, replace(RUN, version=99))
    with pytest.raises(DrillError, match="version 99"):
        judge(tmp_path)
    assert DrillError.status == Status.PROVES_NOTHING


def test_a_load_is_the_same_if_its_share_of_the_maximum_is(tmp_path: Path, good: History) -> None:
    def loaded(rate: float, maximum: float) -> Run:
        return replace(RUN, load=replace(RUN.load, rate=rate, maximum=maximum))

    folders = [
        leave(tmp_path / "a", good, loaded(150.2, 300.1)),
        leave(tmp_path / "b", good, replace(loaded(170.3, 341.0), concerned=("shard-2",))),
        leave(tmp_path / "c", good, loaded(300.0, 301.0)),
    ]
    together, alone = judge_all(map(read, folders))
    assert (len(together.folders), len(alone.folders)) == (2, 1)
    assert "acknowledged write, shard-1, shard-2: " in together.text()


def test_a_load_that_is_too_thin_for_a_gap_is_said(tmp_path: Path, good: History) -> None:
    thin = Model(pause=1.2, away=()).run()
    limit = expecting(gap=0.5)
    (note,) = [one for one in judge(leave(tmp_path / "a", thin, limit)).notes if "paused" in one]
    assert "does not tell whether the fault cost more than 0.5 s" in note
    assert not any("paused" in one for one in judge(leave(tmp_path / "b", good, limit)).notes)

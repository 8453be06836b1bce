"""Drills as people run them: one that breaks something, one that does not, and broken-off ones."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cluster.drill import record
from cluster.drill.history import read
from cluster.drill.judge.verdict import Status, judge
from cluster.drill.record import What
from cluster.drill.running.runner import Options, assert_fit, heal, run
from cluster.drill.running.scenario import chosen
from cluster.drill.running.session import Asked, Session
from cluster.drill.running.view import Lines
from cluster.drill.targets import whole
from cluster.drill.targets.local import LocalTarget
from cluster.drill.targets.target import Ability, NodeState, read_note
from cluster.errors import DrillError
from cluster.exporter.kept import Keeper
from cluster.local.cluster import LocalCluster
from tests.helpers.clusters import cluster_of

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SHAPE = {"shards": 1, "members": 3, "config_servers": 1, "routers": 2}
OPTIONS = Options(seed=7, rate=60)
MAIN = [sys.executable, "-u", "-m", "cluster", "drill"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster_of(tmp_path_factory.mktemp("drills"), **SHAPE) as cluster:
        yield cluster


@pytest.fixture
def target(made: LocalCluster) -> LocalTarget:
    """The module's cluster, which every test must leave whole."""
    found = LocalTarget(made)
    assert_fit(found)
    return found


def assert_whole(target: LocalTarget) -> None:
    """No process stands still, no rule is left, nothing is noted, every member follows."""
    assert read_note(target) is None
    states = {node.name: target.state(node.name) for node in target.cluster.nodes()}
    assert set(states.values()) == {NodeState.RUNNING}, states
    if not target.cannot(Ability.CUT):
        assert target._silence.join() == []
    access = target.access()
    with access.connections() as connections:
        assert whole.missing(access, connections) == ""
    assert target.unfit() == []
    assert target.cluster.record().shards == ["shard-1"]


@pytest.mark.core
def test_a_primary_is_killed(target: LocalTarget, tmp_path: Path) -> None:
    (scenario,) = chosen(["primary-killed"])
    done = run(target, scenario, OPTIONS, tmp_path / "run", Lines())
    assert done.failed == ""
    assert done == record.read(tmp_path / "run")
    order = [event.what for event in done.events if event.what is not What.PRIMARY]
    assert order == [What.FAULT, What.EVIDENCE, What.UNDONE, What.WHOLE]
    (fault,) = done.events_of(What.FAULT)
    elected = [event for event in done.events_of(What.PRIMARY) if event.at > fault.at]
    assert len({event.node for event in elected}) >= 1
    assert done.concerned == ("shard-1",)
    history = read(tmp_path / "run" / "history.jsonl")
    assert {call.due for call in history.calls if call.client >= 0} != {0}
    killed = done.events_of(What.FAULT)[0].text.split()[2].rstrip(",")
    assert (tmp_path / "run" / "logs" / f"{killed}.log").stat().st_size > 0
    # Whether the expectation was met says something of this machine; the data, of the code.
    assert judge(tmp_path / "run").status in (Status.PASSED, Status.MISSED)
    assert_whole(target)


def test_the_seed_repeats_what_chance_decided(target: LocalTarget, tmp_path: Path) -> None:
    (scenario,) = chosen(["secondary-lost"])
    options = Options(seed=7, rate=60, hold=0.0)
    primary = target.cluster.primary("shard-1").name
    one, two = (
        run(target, scenario, options, tmp_path / name, Lines()).drawn for name in ("1", "2")
    )
    assert target.cluster.primary("shard-1").name == primary
    assert one == two
    assert "moment 1" in one


def test_each_run_of_a_session_is_told_as_a_report(target: LocalTarget, tmp_path: Path) -> None:
    """Which the exporter finds."""
    asked = Asked(out=tmp_path, seed=7, rate=60, hold=0.0, quiet=True)
    (verdict,) = Session(target, asked).run(chosen(["secondary-lost"]))
    (told,) = Keeper(None, tmp_path).kept.runs
    assert [told.name] == [Path(folder).name for folder in verdict.folders]
    assert verdict.title.startswith(told.title)
    assert told.status == verdict.status


class Harmless(LocalTarget):
    """Says that it has killed, and has not."""

    def kill(self, names: Sequence[str]) -> None:
        pass


def test_a_fault_that_does_not_take_effect_is_a_failed_run(
    made: LocalCluster, target: LocalTarget, tmp_path: Path
) -> None:
    (scenario,) = chosen(["primary-killed"])
    done = run(Harmless(made), scenario, OPTIONS, tmp_path / "run", Lines())
    assert "the fault did not take effect" in done.failed
    assert done.events_of(What.EVIDENCE) == []
    assert judge(tmp_path / "run").status is Status.PROVES_NOTHING
    assert_whole(target)


def test_a_cluster_that_is_not_whole_is_refused(target: LocalTarget, tmp_path: Path) -> None:
    target.kill(["shard-1-2"])
    try:
        (scenario,) = chosen(["primary-killed"])
        with pytest.raises(DrillError, match=r"not fit to be broken: .*shard-1-2"):
            run(target, scenario, OPTIONS, tmp_path / "run", Lines())
        assert not (tmp_path / "run").exists()
        done = _drill(target, "run", "primary-killed")
        assert done.returncode == Status.PROVES_NOTHING
        (line,) = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
        assert "shard-1-2" in line
    finally:
        heal(target, print)
    assert_whole(target)


def test_one_drill_at_a_time(target: LocalTarget) -> None:
    with _begun(target, "secondary-lost") as process:
        _wait_for(process, " fault ")
        done = _drill(target, "heal")
        assert done.returncode == 1
        assert "another drill is at work" in done.stderr
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert_whole(target)


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
PHASES = ["Ctrl-C stops", " primary ", " fault ", " evidence ", " undone ", " whole "]
"""What a drill says when a phase begins; the first is before there is a load."""


BROKEN_OFF = [
    *(("primary-standing-still", number, phase) for phase in PHASES for number in SIGNALS),
    *(("primary-killed", number, " evidence ") for number in SIGNALS),
    *(("primary-cut-off", number, " evidence ") for number in SIGNALS),
    ("primary-cut-off", signal.SIGKILL, " fault "),
    ("file-damaged", signal.SIGKILL, " evidence "),
    ("primary-parted", signal.SIGKILL, " evidence "),
    ("primary-slow", signal.SIGKILL, " evidence "),
    ("disk-stalled", signal.SIGINT, " evidence "),
    ("disk-stalled", signal.SIGKILL, " evidence "),
    ("power-lost", signal.SIGKILL, " evidence "),
    ("power-lost", signal.SIGKILL, " tidy "),
    ("clock-back", signal.SIGKILL, " evidence "),
    ("rolling-restart", signal.SIGINT, " evidence "),
    ("rolling-restart", signal.SIGKILL, " evidence "),
    ("shard-added-and-drained", signal.SIGKILL, " evidence "),
]


@pytest.mark.parametrize(("name", "number", "phase"), BROKEN_OFF)
def test_broken_off_in_a_phase(
    target: LocalTarget, name: str, number: signal.Signals, phase: str
) -> None:
    (scenario,) = chosen([name])
    if why := scenario.why_not(target, through_api=False):
        pytest.skip(why)
    with _begun(target, name) as process:
        _wait_for(process, phase)
        process.send_signal(number)
        said, errors = process.communicate()
    if number is signal.SIGKILL:
        done = _drill(target, "heal")
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("the cluster is whole\n")
    else:
        assert process.returncode == 130, (said, errors)
    assert_whole(target)


def _begun(target: LocalTarget, name: str) -> subprocess.Popen[str]:
    out = str(target.cluster.state.folder.parent / "runs")
    state = str(target.cluster.state.folder)
    given = ["--seed", "7", "--rate", "60", "--for", "3", "--out", out, "--state", state]
    return subprocess.Popen(
        [*MAIN, "run", name, *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def _wait_for(process: subprocess.Popen[str], phase: str) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if phase in line:
            return
    raise AssertionError(f"it never said {phase!r}: {said} {process.stderr.read()}")


def _drill(target: LocalTarget, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAIN, *words, "--state", str(target.cluster.state.folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_list_is_for_people_and_for_scripts(target: LocalTarget) -> None:
    listed = _drill(target, "list", "--json")
    assert listed.returncode == 0
    rows = json.loads(listed.stdout)
    assert [row["number"] for row in rows if row["name"] == "primary-killed"] == [1]
    assert "primary-killed" in _drill(target, "list").stdout

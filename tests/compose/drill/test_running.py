"""Drills of a stack as people run them; broken off, they leave what `heal` takes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.drill.judge.verdict import Status, judge
from cluster.drill.running.runner import Options, run
from cluster.drill.running.scenario import chosen
from cluster.drill.running.view import Lines
from cluster.drill.targets import namespace, whole
from cluster.drill.targets.compose import ComposeTarget
from cluster.drill.targets.target import NodeState, read_note

MAIN = [sys.executable, "-u", "-m", "cluster", "drill"]


def assert_whole(target: ComposeTarget) -> None:
    """No container stands still or is cut off, nothing is noted, every member follows."""
    assert read_note(target) is None
    containers = [one for one in target.containers.all().values() if one.lasting]
    states = {one.service: target.state(one.service) for one in containers}
    assert set(states.values()) == {NodeState.RUNNING}, states
    if not namespace.cannot():
        assert not any(namespace.join(one.pid) for one in containers)
    access = target.access()
    with access.connections() as connections:
        assert whole.missing(access, connections) == ""
    assert target.unfit() == []


@pytest.mark.parametrize("name", ["member-data-lost", "shard-restarted", "backup-and-new-key"])
def test_other_scenarios(target: ComposeTarget, tmp_path: Path, name: str) -> None:
    (scenario,) = chosen([name])
    done = run(target, scenario, Options(seed=7, rate=60), tmp_path / "run", Lines())
    assert done.failed == ""
    # Whether the expectation was met says something of this machine; the data, of the code.
    assert judge(tmp_path / "run").status in (Status.PASSED, Status.MISSED)
    logs = {file.stem for file in (tmp_path / "run" / "logs").iterdir()}
    assert {"shard-1-1", "router-2", "api-1", "caddy"} <= logs
    assert_whole(target)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("primary-killed", signal.SIGTERM),
        ("primary-killed", signal.SIGKILL),
        ("primary-standing-still", signal.SIGKILL),
        ("primary-cut-off", signal.SIGKILL),
        ("file-damaged", signal.SIGKILL),
        ("rolling-restart", signal.SIGKILL),
    ],
)
def test_broken_off(
    target: ComposeTarget, tmp_path: Path, name: str, number: signal.Signals
) -> None:
    (scenario,) = chosen([name])
    if why := scenario.why_not(target, through_api=False):
        pytest.skip(why)
    given = ["--seed", "7", "--rate", "60", "--for", "3", "--out", str(tmp_path)]
    with subprocess.Popen(
        [*MAIN, "run", name, *given, *_about(target)],
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(target),
    ) as process:
        assert process.stdout is not None
        said = ""
        while " evidence " not in said:
            said = process.stdout.readline()
            assert said, "it ended before its fault took effect"
        process.send_signal(number)
        process.communicate()
    if number is signal.SIGKILL:
        done = subprocess.run(
            [*MAIN, "heal", *_about(target)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=_environment(target),
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("the cluster is whole\n")
    else:
        assert process.returncode == 130
    assert_whole(target)


def _about(target: ComposeTarget) -> list[str]:
    return ["--target", "compose", "--state", str(target.folder.parents[1])]


def _environment(target: ComposeTarget) -> dict[str, str]:
    return os.environ | {"COMPOSE_PROJECT_NAME": target.place}

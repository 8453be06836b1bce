"""A drill on hosts: it breaks what was named, and leaves nothing that is broken, or open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster.drill.judge.verdict import Reading, read
from cluster.drill.record import What
from cluster.servers.waiting import Waiter
from tests.hosts.conftest import SMALL
from tests.hosts.hosts import Hosts

pytestmark = pytest.mark.timeout(1800)
NAMED = ("-e", "safe_to_break=demo")
SHORT = ("-e", "rate=40", "-e", "hold=3", "-e", "seed=7")
TABLES = "nft list tables | grep shardstack-drill || true"
OPEN = "cat /root/.ssh/authorized_keys; ls /usr/local/sbin; ls /var/lib/shardstack-drill || true"


@pytest.fixture(scope="module")
def stack(small: Hosts) -> Hosts:
    """A stack of three hosts that serves, and keeps the runs of its drills with the inventory."""
    small.play("site")
    small.variables["drill_into"] = str(small.folder / "drills")
    small.write_inventory()
    return small


def runs(stack: Hosts, scenario: str) -> list[Reading]:
    """The runs of a scenario that were fetched."""
    files = (stack.folder / "drills").glob(f"*-{scenario}-*/run.json")
    return [read(file.parent) for file in sorted(files)]


def assert_whole(stack: Hosts) -> None:
    """Nothing is left of a drill on any host, and the cluster is as it was."""
    for name in SMALL:
        assert stack.shell(name, TABLES) == ""
        found = stack.shell(name, OPEN).split()
        assert not {word for word in found if "drill-hand" in word}
        assert "key" not in found
    status = json.loads(stack.shell("demo-1", "shardstack status --json"))
    assert status["healthy"], status["problems"]


@pytest.mark.parametrize("named", [(), ("-e", "safe_to_break=prod")], ids=["none", "another"])
def test_a_stack_that_was_not_named_is_not_broken(stack: Hosts, named: tuple[str, ...]) -> None:
    refused = stack.attempt("drill", "-e", "drill=primary-killed", *named)
    assert "say its name: -e safe_to_break=demo" in " ".join(refused.output.split())
    assert set(refused.changed().values()) == {0}


def test_a_killed_primary_costs_no_acknowledged_write(stack: Hosts) -> None:
    played = stack.attempt("drill", *NAMED, "-e", "drill=primary-killed", *SHORT)
    [run] = runs(stack, "primary-killed")
    assert not run.run.failed, played.output
    assert not run.violations
    assert run.run.target == "hosts"
    seen = {event.what for event in run.run.events}
    assert {What.FAULT, What.EVIDENCE, What.PRIMARY, What.UNDONE, What.WHOLE} <= seen
    assert len(list((run.folder / "logs").glob("*.log"))) == 12
    assert (run.folder / "logs" / "config-1.log").read_text()
    assert_whole(stack)


def test_a_primary_is_cut_off_from_everybody(stack: Hosts) -> None:
    played = stack.attempt("drill", *NAMED, "-e", "drill=primary-cut-off", *SHORT)
    [run] = runs(stack, "primary-cut-off")
    assert not run.run.failed, played.output
    assert not run.violations
    [evidence] = [event.text for event in run.run.events if event.what is What.EVIDENCE]
    assert "packets of shard-" in evidence
    assert_whole(stack)


def test_a_drill_that_is_killed_leaves_no_fault_and_heal_leaves_nothing(stack: Hosts) -> None:
    def cut_off() -> bool:
        return any(stack.shell(name, TABLES) for name in SMALL)

    arguments = (*NAMED, "-e", "drill=primary-cut-off", "-e", "rate=40", "-e", "hold=600")
    at = stack.interrupt("drill", *arguments, at="TASK [drill : Run the drill]", once=cut_off)
    assert at, "it had ended before"
    refused = stack.attempt("drill", *NAMED, "-e", "drill=primary-killed")
    assert "A drill is at work in demo" in " ".join(refused.output.split())

    stack.shell("demo-1", "systemctl kill --signal=KILL shardstack-drill")
    Waiter(60).until(lambda: not cut_off() or None, lambda: "the hands do not take it back")
    refused = stack.attempt("drill", *NAMED, "-e", "drill=primary-killed", *SHORT)
    assert "a drill was broken off here" in " ".join(refused.output.split())
    stack.play("drill", "-e", "heal=true")
    assert_whole(stack)


def test_heal_stops_a_drill_that_is_at_work(stack: Hosts, tmp_path: Path) -> None:
    stack.variables["drill_into"] = str(tmp_path)
    stack.write_inventory()
    at = "TASK [drill : Run the drill]"
    said = "grep -c evidence /var/lib/shardstack-drill/said || true"
    arguments = (*NAMED, "-e", "drill=primary-standing-still", "-e", "rate=40", "-e", "hold=600")
    assert stack.interrupt(
        "drill", *arguments, at=at, once=lambda: stack.shell("demo-1", said).strip() == "1"
    )
    stack.play("drill", "-e", "heal=true")
    [run] = [read(file.parent) for file in tmp_path.glob("*/run.json")]
    assert run.run.failed == "interrupted"
    assert_whole(stack)

"""Without a credential nothing is to be had from a server, also from its own machine.

A server that knows no user lets whoever comes from its own machine make one: MongoDB's localhost
exception. Shards never have users of their own.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.errors import MismatchError
from cluster.lifecycle.rotate_key import rotate_key
from cluster.local.boot import prepare
from cluster.local.cluster import LocalCluster, silent
from cluster.local.launcher import Launcher, Program
from cluster.local.state import Record
from cluster.model.layout import Node
from cluster.model.topology import load
from cluster.servers.connections import listens
from cluster.servers.replica_set import look
from cluster.servers.waiting import Waiter
from tests.helpers.clusters import cluster_of
from tests.local.cluster import stranger
from tests.local.cluster.small import SMALL, run

pytestmark = pytest.mark.long

SHAPE = SMALL | {"members": 3}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """One shard of three members, for the tests of this module, which break it."""
    with cluster_of(tmp_path_factory.mktemp("stranger"), **SHAPE) as made:
        yield made


@pytest.fixture
def whole(local: LocalCluster) -> LocalCluster:
    """The same, whole again whatever the test before did to it."""
    local.up()
    return local


def members_of(local: LocalCluster) -> list[Node]:
    """Every mongod."""
    return [node for one in local.record().layout().sets for node in one.members]


def program_of(local: LocalCluster, name: str) -> Program:
    """How a node is started."""
    return prepare(local.state, local.record(), silent)[name]


def wait_until_listening(node: Node) -> None:
    """A mongod that was just started."""
    Waiter(60).until(lambda: listens(node) or None, lambda: f"{node.name} does not listen")


@pytest.mark.core
def test_a_member_just_started_refuses_everything(empty: LocalCluster) -> None:
    record = Record.new(load(None, SHAPE))
    with empty.state.locked():
        launcher = Launcher()
        for program in prepare(empty.state, record, silent).values():
            launcher.start(program)
    for node in members_of(empty):
        wait_until_listening(node)
    stranger.gets_nowhere(members_of(empty))
    empty.up()
    stranger.gets_nowhere(empty.record().layout().nodes)


@pytest.mark.core
def test_every_command_that_there_is_is_refused(whole: LocalCluster) -> None:
    layout = whole.record().layout()
    with whole.access().connections() as connections:
        commands = connections.member(layout.config.members[0]).admin.command("listCommands")
    names = sorted(commands["commands"])
    assert len(names) > 200
    for node in [*members_of(whole), *layout.routers]:
        answers = stranger.ask((node, {name: 1}) for name in names)
        told = dict(zip(names, answers, strict=True))
        assert {name for name in names if told[name]["ok"]} <= stranger.ALLOWED, node.name
        others = [name for name in names if not told[name]["ok"]]
        refused = {name for name in others if told[name]["code"] == stranger.UNAUTHORIZED}
        assert set(others) - refused <= stranger.LOG_IN | stranger.NOTHING_TO_SEE, node.name


@pytest.mark.core
def test_refused_after_a_failover(whole: LocalCluster) -> None:
    before = whole.primary("shard-1").name
    whole.kill(before)
    Waiter(60).until(
        lambda: whole.primary("shard-1").name != before or None, lambda: "nobody took over"
    )
    stranger.gets_nowhere(n for n in members_of(whole) if n.name != before)
    whole.up()
    stranger.gets_nowhere(members_of(whole))


def test_refused_while_a_member_copies_everything_anew(whole: LocalCluster) -> None:
    primary = whole.primary("shard-1").name
    node = next(n for n in members_of(whole) if n.name.startswith("shard-1-") and n.name != primary)
    whole.kill(node.name)
    shutil.rmtree(whole.state.node(node.name) / "data")
    with whole.state.locked():
        Launcher().start(program_of(whole, node.name))
    wait_until_listening(node)
    with whole.access().connections() as connections:
        settled = False
        while not settled:
            settled = look(connections, node).is_settled
            stranger.gets_nowhere([node])


def test_refused_by_the_members_of_a_new_shard(whole: LocalCluster) -> None:
    name = whole.add_shard()
    stranger.gets_nowhere(members_of(whole))
    whole.remove_shard(name)


def test_refused_while_the_key_is_changed(whole: LocalCluster) -> None:
    rotate_key(whole, lambda _: stranger.gets_nowhere(members_of(whole)))
    stranger.gets_nowhere(members_of(whole))


def test_refused_after_a_restore(whole: LocalCluster, empty: LocalCluster, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    assert run(whole, "dump", str(backup)).returncode == 0
    empty.up(**SHAPE)
    done = run(empty, "restore", str(backup))
    assert done.returncode == 0, done.stderr
    stranger.gets_nowhere(empty.record().layout().nodes)


@pytest.mark.core
def test_a_member_that_lets_strangers_in_is_told_by_status_and_refused_by_up(
    whole: LocalCluster,
) -> None:
    found = json.loads(run(whole, "status", "--json").stdout)
    shown = [member["exposure"] for one in found["sets"] for member in one["members"]]
    assert [one["localhost_exception"] for one in shown] == [False] * 4
    assert [one["zlib"] for one in shown] == [False] * 4

    secondary = next(n for n in ("shard-1-1", "shard-1-2") if n != whole.primary("shard-1").name)
    program = program_of(whole, secondary)
    flag = ("--setParameter", "enableLocalhostAuthBypass=true")
    with whole.state.locked():
        Launcher().stop([program], 10)
        Launcher().start(dataclasses.replace(program, argv=[*program.argv, *flag]))
    with pytest.raises(MismatchError, match=f"{secondary}: every process .* root there"):
        whole.up()
    problems = whole.status().problems
    assert [p for p in problems if p.startswith(f"{secondary}: every process")] == problems != []
    whole.restart(secondary)
    whole.up()
    assert whole.status().healthy

"""Settings and images are changed while consumers write through Caddy, who see no error."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.compose.stack import APIS, ROUTERS, Stack, docker, fresh, until

pytestmark = pytest.mark.usefixtures("consumers")

MEMBERS = [f"{name}-{n}" for name in ("config", "shard-1", "shard-2") for n in (1, 2, 3)]
SERVERS = [*MEMBERS, *ROUTERS]
MAKERS = ["prepare", "bootstrap", "setup"]  # which end when they have done their work
PATCH_RELEASE, NEXT = "mongo:8.0.99", "shardstack:next"
"""Other names for the images that are there, so that Compose takes them for other ones."""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of two shards, with room for many log-ins from one address."""
    names = {"mongo:8.0": PATCH_RELEASE, "shardstack:latest": NEXT}
    with fresh(
        "shardstack-changes", ["tests/compose/drill/drill.yml"], {"SHARDSTACK_SHARDS": "2"}
    ) as made:
        made.up(timeout=600)
        for name, other in names.items():
            docker("tag", name, other)
        yield made
    docker("rmi", *names.values())


def identities(stack: Stack) -> dict[str, str]:
    """The container of each service that runs on."""
    return {name: stack.inspect(name)["Id"] for name in (*SERVERS, *APIS, "caddy")}


def replaced(stack: Stack, before: dict[str, str]) -> list[str]:
    """The services that have another container than before."""
    now = identities(stack)
    return [name for name in before if before[name] != now[name]]


def nothing_is_left(stack: Stack) -> bool:
    """Whether there is one container for each service, and Compose would change none."""
    before = identities(stack)
    stack.up()
    mine = f"label=com.docker.compose.project={stack.project}"
    names = docker("ps", "--all", "--filter", mine, "--format", "{{.Names}}").split()
    once = [stack.container(name) for name in (*before, "exporter", *MAKERS)]
    assert sorted(names) == sorted(once)
    return replaced(stack, before) == []


TIMEOUTS = """
from cluster.hosted.cluster import HostedCluster
access = HostedCluster().access()
with access.connections() as connections:
    for each in access.layout.sets:
        config = connections.member(each.members[0]).admin.command("replSetGetConfig")["config"]
        print(each.name, config["settings"]["electionTimeoutMillis"])
"""


@pytest.mark.core
def test_what_the_cluster_itself_keeps_is_changed_without_a_restart(stack: Stack) -> None:
    before = identities(stack)
    stack.change(SHARDSTACK_ELECTION_TIMEOUT_MS="2500")
    assert replaced(stack, before) == []
    script = ("--entrypoint", "python", "ops", "-c", TIMEOUTS)
    said = stack.run("run", "--rm", "--no-deps", "-T", *script)
    assert said.splitlines() == ["cfg 2500", "shard-1 2500", "shard-2 2500"]
    assert nothing_is_left(stack)


def test_another_image_of_ours(stack: Stack) -> None:
    before = identities(stack)
    stack.change(SHARDSTACK_IMAGE=NEXT)
    assert replaced(stack, before) == APIS
    assert stack.inspect("api-1")["Config"]["Image"] == NEXT
    assert nothing_is_left(stack)


def test_another_image_of_mongodb_with_interruptions(stack: Stack) -> None:
    """Killed while it replaces a member, and a router; run again, it goes on."""
    before = identities(stack)
    for moment in ("shard-1-", "router-"):
        change_and_kill(stack, before, moment)
    stack.change(MONGO_IMAGE=PATCH_RELEASE)
    assert replaced(stack, before) == SERVERS
    images = {stack.inspect(name)["Config"]["Image"] for name in SERVERS}
    assert images == {PATCH_RELEASE}
    assert nothing_is_left(stack)
    until(lambda: bool(stack.status()["healthy"]), 30, stack.tails)


def change_and_kill(stack: Stack, before: dict[str, str], moment: str) -> None:
    """Begin to change the image, and kill that when a container of this kind is replaced."""
    change = stack.start_change(MONGO_IMAGE=PATCH_RELEASE)
    until(
        lambda: change.poll() is not None or any(moment in n for n in taken_away(stack, before)),
        400,
        lambda: f"no {moment} was replaced:\n{stack.tails()}",
    )
    change.send_signal(signal.SIGKILL)
    said, _ = change.communicate(timeout=60)
    assert change.returncode == -signal.SIGKILL, said
    until(
        lambda: docker("ps", "--quiet", "--filter", f"name={stack.project}-ops-run") == "",
        60,
        lambda: "the rolling restart goes on, with nobody to answer it",
    )


def taken_away(stack: Stack, before: dict[str, str]) -> list[str]:
    """The services whose container of before is being, or has been, taken away."""
    mine = f"label=com.docker.compose.project={stack.project}"
    running = docker("ps", "--no-trunc", "--quiet", "--filter", mine).split()
    return [name for name, identity in before.items() if identity not in running]


def test_memory(stack: Stack) -> None:
    """A limit of the containers: the servers get new ones, one at a time."""
    before = identities(stack)
    stack.change(SHARDSTACK_MEMBER_MEMORY="900m")
    assert replaced(stack, before) == MEMBERS
    assert nothing_is_left(stack)


def test_what_cannot_work_changes_nothing(stack: Stack) -> None:
    before = identities(stack)
    done = stack.start_change(SHARDSTACK_CACHE_GB="0.1")
    said, _ = done.communicate(timeout=120)
    assert done.returncode == 2
    assert "error: SHARDSTACK_CACHE_GB is 0.1. Give" in said
    assert replaced(stack, before) == []

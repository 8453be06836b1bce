"""A set that lost most of its members for good is forced to have a primary, and made whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from cluster.lifecycle.recover import losses
from cluster.local.cluster import LocalCluster
from tests.helpers.clusters import cluster_of
from tests.local.cluster.small import client_of, error_of, run

pytestmark = pytest.mark.long

SHAPE = {"shards": 1, "members": 3, "config_servers": 3, "routers": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with cluster_of(tmp_path_factory.mktemp("recover"), **SHAPE) as local:
        yield local


@pytest.fixture
def whole(made: LocalCluster) -> LocalCluster:
    """A cluster of sets of three, whole again whatever the test before did."""
    made.up()
    return made


def lose(local: LocalCluster, *nodes: str) -> None:
    """Ends members, and deletes all that they had."""
    for node in nodes:
        local.kill(node)
        shutil.rmtree(local.state.node(node) / "data")


def votes(local: LocalCluster, set_name: str) -> list[tuple[int, float]]:
    access = local.access()
    primary = next(n for n in access.layout.nodes if n.name == local.primary(set_name).name)
    with access.connections() as connections:
        config = connections.member(primary).admin.command("replSetGetConfig")["config"]
    return [(member["votes"], member["priority"]) for member in config["members"]]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("name", "stem"), [("shard-1", "shard-1"), ("cfg", "config")])
def test_the_one_that_is_left_becomes_primary_and_fresh_ones_follow(
    whole: LocalCluster, name: str, stem: str
) -> None:
    with client_of(whole) as admin:
        admin["kept"]["marks"].update_one({"_id": name}, {"$set": {"n": 1}}, upsert=True)
        left = f"{stem}-2"
        lose(whole, *(node for node in (f"{stem}-1", f"{stem}-2", f"{stem}-3") if node != left))

        said = error_of(run(whole, "recover"))
        assert f"{name} has lost 2 of 3 members: {stem}-1 (not listening)" in said
        assert f"What is left is what {left} had at" in said
        assert "There is nobody to ask; say --yes" in said
        assert [one.newest.name for one in losses(whole.access())] == [left]

        done = run(whole, "recover", "--yes", name)
        assert done.returncode == 0, done.stderr
        assert f"{name}: {left} is the primary" in done.stdout
        again = run(whole, "recover", "--yes")
        assert "every set: most members are there. Nothing to force." in again.stdout

        admin["kept"]["marks"].update_one({"_id": name}, {"$inc": {"n": 1}})
        told: list[str] = []
        whole.up(report=told.append)
        assert len([line for line in told if line.endswith("votes again")]) == 2
        assert votes(whole, name) == [(1, 1)] * 3
        assert admin["kept"]["marks"].find_one({"_id": name}) == {"_id": name, "n": 2}


@pytest.mark.timeout(240)
def test_nothing_is_forced_while_a_majority_lives(whole: LocalCluster) -> None:
    whole.kill("shard-1-3")
    before = votes(whole, "shard-1")
    assert "Nothing to force" in run(whole, "recover", "--yes").stdout
    assert votes(whole, "shard-1") == before


@pytest.mark.timeout(240)
def test_a_set_of_which_nothing_is_left_is_no_case_for_force(whole: LocalCluster) -> None:
    assert "there is no set 'shard-9'" in error_of(run(whole, "recover", "--yes", "shard-9"))
    for number in (1, 2, 3):
        whole.kill(f"shard-1-{number}")
    said = error_of(run(whole, "recover", "--yes"))
    assert "nothing is left of shard-1: shard-1-1 not listening" in said

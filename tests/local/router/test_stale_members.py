"""Members that go on calling a command stale, as while the move of a chunk is being committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from cluster.lifecycle.bootstrap import bootstrap
from cluster.router.catalogue import UNSHARDED
from tests.local.router.servers import Servers

pytestmark = pytest.mark.long
REFUSALS = 16
"""More than mongos' own tries, and than pass in a few seconds."""
NAME = "shifting"
Documents = Database[dict[str, Any]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A cluster whose members can be told to refuse commands."""
    servers = Servers(tmp_path_factory.mktemp("stale"), "127.0.0.1")
    try:
        servers.start_members("--setParameter", "enableTestCommands=1")
        servers.start_router()
        bootstrap(servers.access(None), lambda _: None)
        yield servers
    finally:
        servers.close()


@pytest.fixture(scope="module")
def db(servers: Servers) -> Iterator[Documents]:
    """A database with 20 documents in a sharded collection."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(servers.access(None).uri("admin")) as client:
        client.admin.command("shardCollection", f"moving.{NAME}", key={"_id": "hashed"})
        client.moving[NAME].insert_many([{"_id": n} for n in range(20)])
        yield client.moving


@pytest.mark.parametrize(
    ("sent", "command"),
    [
        ("clusterAggregate", {"aggregate": NAME, "pipeline": [{"$count": "n"}], "cursor": {}}),
        ("count", {"count": NAME}),
        ("find", {"find": NAME, "filter": {"_id": 1}}),
        ("update", {"update": NAME, "updates": [{"q": {"_id": 1}, "u": {"$inc": {"k": 1}}}]}),
    ],
)
def test_a_command_is_repeated_until_they_do_not(
    servers: Servers, db: Documents, sent: str, command: dict[str, Any]
) -> None:
    point = {
        "failCommands": [sent],
        "failInternalCommands": True,
        "namespace": f"moving.{NAME}",
        "errorCode": 13388,
        "errorExtraInfo": {
            "ns": f"moving.{NAME}",
            "vReceived": UNSHARDED,
            "shardId": servers.shard.name,
        },
    }
    refuse = {"configureFailPoint": "failCommand", "mode": {"times": REFUSALS}, "data": point}
    with servers.access(None).connections() as connections:
        member = connections.member(servers.shard.members[0])
        before = member.admin.command(refuse)["count"]
        assert db.command(command)["ok"] == 1
        after = member.admin.command("configureFailPoint", "failCommand", mode="off")["count"]
    assert after - before == REFUSALS

"""Who may do what through the router: log-in, roles, and the ways around them that are closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from cluster.local.cluster import LocalCluster
from cluster.servers.waiting import Waiter
from tests.helpers.routers import connect

Documents = Collection[dict[str, Any]]
Client = MongoClient[dict[str, Any]]
PASSWORD = "a-long-password-for-tests"


@pytest.fixture(scope="module")
def reader(
    cluster: LocalCluster, single_routers: list[Client], sharded: Documents
) -> Iterator[Client]:
    """A user with the role read on one database, nothing else."""
    admin = single_routers[0].admin
    role = {"role": "read", "db": sharded.database.name}
    admin.command("createUser", "reader", pwd=PASSWORD, roles=[role])
    port = single_routers[0].address[1]  # type: ignore[index]
    with connect(cluster, port, username="reader", password=PASSWORD) as client:
        yield client
    admin.command("dropUser", "reader")


def refused(database: Database[dict[str, Any]], command: dict[str, Any]) -> int:
    with pytest.raises(OperationFailure) as failure:
        database.command(command)
    return failure.value.code or 0


def test_nothing_is_served_before_log_in(single_routers: list[Client]) -> None:
    port = single_routers[0].address[1]  # type: ignore[index]
    with MongoClient[dict[str, Any]]("127.0.0.1", port) as anyone:
        assert anyone.admin.command("hello")["ok"] == 1
        for command in (
            "find",
            "insert",
            "listDatabases",
            "serverStatus",
            "getMore",
            "endSessions",
        ):
            assert refused(anyone["any"], {command: "x"}) == 13


@pytest.mark.parametrize(
    "who",
    [
        {"username": "admin", "password": "wrong"},
        {"username": "nobody", "password": PASSWORD},
        {"username": "__system", "password": PASSWORD, "authSource": "local"},
    ],
)
def test_a_wrong_log_in_is_refused(
    cluster: LocalCluster, single_routers: list[Client], who: dict[str, Any]
) -> None:
    port = single_routers[0].address[1]  # type: ignore[index]
    with connect(cluster, port, **who) as client, pytest.raises(OperationFailure) as failure:
        client.admin.command("listDatabases")
    assert failure.value.code == 18


@pytest.mark.usefixtures("stand_in")
def test_the_key_of_the_cluster_opens_no_router(
    cluster: LocalCluster, single_routers: list[Client]
) -> None:
    key = (cluster.state.secrets / "keyFile").read_text().strip()
    port = single_routers[0].address[1]  # type: ignore[index]
    system = {"username": "__system", "password": key, "authSource": "local"}
    with connect(cluster, port, **system) as client, pytest.raises(OperationFailure) as failure:
        client.admin.command("listDatabases")
    assert failure.value.code == 18


def test_a_reader_reads_and_does_nothing_else(reader: Client, sharded: Documents) -> None:
    mine = reader[sharded.database.name]
    name = sharded.name
    assert mine[name].count_documents({}) == 200
    assert len(list(mine[name].find().batch_size(10))) == 200
    assert mine.list_collection_names() == [name]
    assert reader.list_database_names() == [mine.name]
    one = {"_id": 1}
    elsewhere = {"from": {"db": "config", "coll": "chunks"}, "pipeline": [], "as": "x"}
    hidden = [{"$facet": {"a": [{"$lookup": elsewhere}]}}]
    for command in (
        {"insert": name, "documents": [one]},
        {"update": name, "updates": [{"q": one, "u": {"$set": {"x": 1}}}]},
        {"delete": name, "deletes": [{"q": one, "limit": 1}]},
        {"findAndModify": name, "query": one, "remove": True},
        {"createIndexes": name, "indexes": [{"key": {"x": 1}, "name": "x"}]},
        {"drop": name},
        {"dropDatabase": 1},
        {"aggregate": name, "pipeline": [{"$out": "stolen"}], "cursor": {}},
        {"aggregate": name, "pipeline": [{"$merge": {"into": "stolen"}}], "cursor": {}},
        {"aggregate": name, "pipeline": hidden, "cursor": {}},
        {"aggregate": name, "pipeline": [{"$unionWith": {"coll": "system.views"}}], "cursor": {}},
        {"aggregate": 1, "pipeline": [{"$currentOp": {}}], "cursor": {}},
        {"explain": {"update": name, "updates": [{"q": one, "u": {"$set": {"x": 1}}}]}},
        {"create": "window", "viewOn": name, "pipeline": []},
        {"createUser": "me", "pwd": PASSWORD, "roles": []},
        {"grantRolesToUser": "reader", "roles": ["root"]},
        {"usersInfo": 1},
    ):
        assert refused(mine, command) == 13, command
    for command in (
        {"listShards": 1},
        {"addShard": "x/127.0.0.1:1"},
        {"shardCollection": sharded.full_name, "key": {"x": 1}},
        {"moveRange": sharded.full_name, "min": {"_id": 0}, "toShard": "shard-1"},
        {"balancerStop": 1},
        {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}},
        {"grantRolesToUser": "reader", "roles": ["root"]},
        {"updateUser": "reader", "roles": ["root"]},
        {"usersInfo": "admin"},
        {"serverStatus": 1},
    ):
        assert refused(reader.admin, command) == 13, command
    assert refused(reader["config"], {"find": "chunks"}) == 13


def test_fields_of_routers_and_members_count_for_nothing(
    reader: Client, sharded: Documents
) -> None:
    """A client cannot lend itself a version, an identity or a place in the protocol of shards."""
    mine = reader[sharded.database.name]
    private = {
        "shardVersion": 1,
        "databaseVersion": 1,
        "$audit": {
            "$impersonatedUsers": [{"user": "admin", "db": "admin"}],
            "$impersonatedRoles": [],
        },
        "fromMongos": True,
        "needsMerge": True,
        "stmtIds": [7],
        "$configTime": 1,
    }
    found = mine.command({"find": sharded.name, "filter": {"_id": 3}, **private})
    assert found["cursor"]["firstBatch"] == [{"_id": 3, "group": 3}]
    assert refused(mine, {"insert": sharded.name, "documents": [{}], **private}) == 13


def test_a_reader_may_not_read_on_somebody_elses_cursor(
    reader: Client, single_routers: list[Client], sharded: Documents
) -> None:
    cursor = single_routers[0][sharded.database.name][sharded.name].find().batch_size(5)
    next(cursor)
    command = {"getMore": cursor.cursor_id, "collection": sharded.name}
    assert refused(reader[sharded.database.name], command) == 13
    cursor.close()


def test_a_user_sees_itself(reader: Client) -> None:
    info = reader.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    assert info["authenticatedUsers"] == [{"user": "reader", "db": "admin"}]
    assert info["authenticatedUserPrivileges"]
    assert reader.admin.command("usersInfo", "reader")["users"][0]["user"] == "reader"


def test_rights_follow_a_change_and_end_with_the_user(
    cluster: LocalCluster, single_routers: list[Client], sharded: Documents
) -> None:
    admin = single_routers[0].admin
    admin.command("createUser", "brief", pwd=PASSWORD, roles=["readAnyDatabase"])
    port = single_routers[0].address[1]  # type: ignore[index]
    with connect(cluster, port, username="brief", password=PASSWORD) as brief:
        mine = brief[sharded.database.name]
        assert refused(mine, {"insert": sharded.name, "documents": [{"_id": "b"}]}) == 13
        admin.command("grantRolesToUser", "brief", roles=["readWriteAnyDatabase"])
        mine.command({"insert": sharded.name, "documents": [{"_id": "b"}]})
        mine.command({"delete": sharded.name, "deletes": [{"q": {"_id": "b"}, "limit": 1}]})
        admin.command("dropUser", "brief")
        assert refused(mine, {"find": sharded.name}) == 13


def test_a_user_comes_from_where_it_may_and_nowhere_else(
    cluster: LocalCluster, single_routers: list[Client]
) -> None:
    admin, port = single_routers[0].admin, single_routers[0].address[1]  # type: ignore[index]
    for name, network in (("local", "127.0.0.0/8"), ("remote", "192.0.2.0/24")):
        restrictions = [{"clientSource": [network], "serverAddress": ["127.0.0.1"]}]
        admin.command(
            "createUser", name, pwd=PASSWORD, roles=[], authenticationRestrictions=restrictions
        )
    try:
        with connect(cluster, port, username="local", password=PASSWORD) as client:
            assert client.admin.command("connectionStatus")["ok"] == 1
        with connect(cluster, port, username="remote", password=PASSWORD) as client:
            assert refused(client.admin, {"connectionStatus": 1}) == 18
    finally:
        for name in ("local", "remote"):
            admin.command("dropUser", name)


def test_another_routers_password_change_counts_at_once(
    cluster: LocalCluster, single_routers: list[Client]
) -> None:
    here, there = single_routers[0].admin, single_routers[1].admin
    port = single_routers[0].address[1]  # type: ignore[index]
    here.command("createUser", "changing", pwd=PASSWORD, roles=[])
    try:
        with connect(cluster, port, username="changing", password=PASSWORD) as client:
            assert client.admin.command("connectionStatus")["ok"] == 1
        there.command("updateUser", "changing", pwd="another-long-password")
        with connect(cluster, port, username="changing", password=PASSWORD) as client:
            assert refused(client.admin, {"connectionStatus": 1}) == 18
        with connect(
            cluster, port, username="changing", password="another-long-password"
        ) as client:
            assert client.admin.command("connectionStatus")["ok"] == 1
    finally:
        here.command("dropUser", "changing")


@pytest.mark.long
def test_a_user_dropped_through_another_router_is_done_with_in_half_a_minute(
    cluster: LocalCluster, single_routers: list[Client], sharded: Documents
) -> None:
    here, there = single_routers[0].admin, single_routers[1].admin
    port = single_routers[0].address[1]  # type: ignore[index]
    here.command("createUser", "leaving", pwd=PASSWORD, roles=["readAnyDatabase"])
    with connect(cluster, port, username="leaving", password=PASSWORD) as client:
        mine = client[sharded.database.name]
        assert mine.command("find", sharded.name)["ok"] == 1
        there.command("dropUser", "leaving")

        def ended() -> bool | None:
            try:
                mine.command("find", sharded.name)
            except OperationFailure as failure:
                return failure.code == 13 or None
            return None

        assert Waiter(60).until(ended, lambda: "it still reads")


@pytest.mark.usefixtures("stand_in")
def test_transactions_are_refused_clearly(single_routers: list[Client], sharded: Documents) -> None:
    client = single_routers[0]
    with client.start_session() as session:
        session.start_transaction()
        with pytest.raises(OperationFailure, match="use a real mongos") as failure:
            client[sharded.database.name][sharded.name].insert_one({}, session=session)
        assert failure.value.code == 115
        session._transaction.reset()  # there is nothing to abort

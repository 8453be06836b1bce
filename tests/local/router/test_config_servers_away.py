"""No config server runs: whatever needs no new routing goes on, for clients that come new, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from cluster.local.cluster import LocalCluster
from tests.local.cluster.small import SMALL, client_of

pytestmark = [pytest.mark.long, pytest.mark.core]
ROUTE = ("away", "sharded")


@pytest.fixture(scope="module")
def without_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A cluster whose router has routed and logged in, and whose config servers are gone then."""
    local = LocalCluster(tmp_path_factory.mktemp("away") / "state")
    try:
        local.up(**SMALL)
        with client_of(local) as client:
            client.admin.command("shardCollection", ".".join(ROUTE), key={"_id": "hashed"})
            collection = client[ROUTE[0]][ROUTE[1]]
            collection.insert_many([{"_id": n} for n in range(100)])
            assert len(list(collection.find())) == collection.count_documents({}) == 100
        local.kill("config-1")
        yield local
    finally:
        local.down(purge=True)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", None])
def test_new_clients_log_in_read_and_write(
    without_config: LocalCluster, mechanism: str | None
) -> None:
    options: dict[str, Any] = {"authMechanism": mechanism} if mechanism else {}
    client: MongoClient[dict[str, Any]]
    with MongoClient(without_config.uri("admin"), **options) as client:
        collection = client[ROUTE[0]][ROUTE[1]]
        assert collection.find_one({"_id": 7}) == {"_id": 7}
        assert len(list(collection.find({"_id": {"$lt": 50}}))) == 50
        assert collection.count_documents({}) == 100
        assert collection.update_one({"_id": 7}, {"$inc": {"k": 1}}).modified_count == 1
        assert collection.find_one_and_update({"_id": 7}, {"$unset": {"k": ""}})
        collection.insert_one({"_id": "new"})
        assert collection.delete_one({"_id": "new"}).deleted_count == 1


def test_a_wrong_password_is_refused_even_then(without_config: LocalCluster) -> None:
    wrong: MongoClient[dict[str, Any]]
    with MongoClient(without_config.uri("admin"), password="wrong") as wrong:
        with pytest.raises(OperationFailure) as failure:
            wrong.admin.command("connectionStatus")
        assert failure.value.code == 18


def test_reads_of_one_shard_do_without_the_routing_table_of_its_own(
    without_config: LocalCluster,
) -> None:
    """A shard drops it when a secondary first needs one, say for a mirrored read, and stalls."""
    primary = without_config.record().layout().shards[0].members[0]
    with without_config.access().connections() as connections, pytest.raises(PyMongoError):
        connections.member(primary).admin.command(
            "_flushRoutingTableCacheUpdates", ".".join(ROUTE), maxTimeMS=100
        )
    with client_of(without_config) as client:
        collection = client[ROUTE[0]][ROUTE[1]]
        assert len(list(collection.find(max_time_ms=5000).sort("_id"))) == 100

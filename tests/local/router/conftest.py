"""Clients of the routers, and a sharded collection to work on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from cluster.local.cluster import LocalCluster
from tests.helpers.routers import Client, connect, fill


@pytest.fixture(scope="session")
def client(cluster: LocalCluster) -> Iterator[Client]:
    """An administrator, through both routers."""
    with MongoClient(cluster.uri("admin")) as client:
        yield client


@pytest.fixture(scope="session")
def single_routers(cluster: LocalCluster) -> Iterator[list[Client]]:
    """An administrator's client for each router alone."""
    clients = [connect(cluster, node.port) for node in cluster.nodes() if node.kind == "router"]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def stand_in(client: Client) -> None:
    """Skip what only the stand-in promises where a real mongos serves."""
    if client.admin.command("buildInfo").get("router") != "stand-in":
        pytest.skip("a real mongos serves here")


@pytest.fixture(scope="module")
def db(client: Client) -> Iterator[Database[dict[str, Any]]]:
    """A database of the module's own."""
    name = f"t{uuid.uuid4().hex[:10]}"
    yield client[name]
    client.drop_database(name)


@pytest.fixture(scope="module")
def sharded(client: Client, db: Database[dict[str, Any]]) -> Collection[dict[str, Any]]:
    """A collection sharded on hashed ``_id``, with documents 0 to 199: {_id, group: _id % 5}."""
    client.admin.command("shardCollection", f"{db.name}.hashed", key={"_id": "hashed"})
    collection = db["hashed"]
    fill(collection)
    return collection

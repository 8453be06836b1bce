"""Clients of single routers, and what a collection of the tests holds."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from cluster.local.cluster import LocalCluster

Client = MongoClient[dict[str, Any]]


def connect(cluster: LocalCluster, port: int, **options: Any) -> Client:
    """A client of the router on a port; the administrator unless options say otherwise."""
    uri = cluster.uri("admin")
    credentials = uri.removeprefix("mongodb://").rpartition("@")[0]
    name, _, password = credentials.partition(":")
    who = {"username": name, "password": password, "authSource": "admin"}
    return MongoClient("127.0.0.1", port, **{**who, **options})


def fill(collection: Collection[dict[str, Any]]) -> None:
    """Make the collection hold exactly the documents that the tests begin with."""
    collection.delete_many({})
    collection.insert_many([{"_id": n, "group": n % 5} for n in range(200)], ordered=False)


def chunks(client: Client, namespace: str) -> list[dict[str, Any]]:
    """The chunks of a collection, as config.chunks has them."""
    entry = client.config.collections.find_one({"_id": namespace})
    assert entry is not None
    return list(client.config.chunks.find({"uuid": entry["uuid"]}).sort("min", 1))

"""A drill on the shared cluster: a load, a fault in the middle of it, and what came of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from cluster.drill.load.mongo import prepare
from cluster.local.cluster import LocalCluster
from tests.helpers.drills import DATABASE, GOES_ON, SHARDS, Drill


@pytest.fixture
def drill(healed_cluster: LocalCluster) -> Iterator[Drill]:
    """A drill with a fresh collection; the cluster is healed afterwards."""
    client: MongoClient[dict[str, Any]]
    # The driver's defaults, which retry every call once, save that no call may hang for ever; but
    # longer than anybody waits here, so that no time-out of the driver hides a router's silence.
    hangs = (GOES_ON + 30) * 1000
    with MongoClient(healed_cluster.uri("admin"), socketTimeoutMS=hangs) as client:
        collection = f"keys_{secrets.token_hex(4)}"
        prepare(client, DATABASE, collection, SHARDS)
        yield Drill(healed_cluster, client, collection)

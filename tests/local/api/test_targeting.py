"""Get, change and delete by id touch exactly one shard: by explain of the very commands sent."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from pymongo import MongoClient

from api.store import Store
from cluster.local.cluster import LocalCluster

DROPPED = {"lsid", "$clusterTime", "$db", "txnNumber", "maxTimeMS", "writeConcern", "readConcern"}


def shards_of(plan: Any) -> set[str]:
    """The shards that an explain names."""
    found = set()
    if isinstance(plan, dict):
        for name, value in plan.items():
            if name == "shardName":
                found.add(value)
            if name == "shards" and isinstance(value, dict):
                found |= set(value)
            found |= shards_of(value)
    elif isinstance(plan, list):
        for item in plan:
            found |= shards_of(item)
    return found


@pytest.fixture
def explain(cluster: LocalCluster, store: Store) -> Any:
    """Explains a command as it was sent."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(cluster.uri("admin")) as client:
        database = client[store.database.name]

        def run(command: dict[str, Any]) -> set[str]:
            kept = {name: value for name, value in command.items() if name not in DROPPED}
            return shards_of(database.command("explain", kept, verbosity="queryPlanner"))

        yield run


def test_by_id(
    client: FlaskClient,
    admin: dict[str, str],
    another: Callable[[], dict[str, str]],
    seam: Any,
    explain: Callable[[dict[str, Any]], set[str]],
) -> None:
    used = set()
    for _ in range(6):  # ids on either shard
        made = client.post("/api/v1/auth/signup", json=another())
        url = made.headers["Location"]
        sent: list[dict[str, Any]] = []
        with seam.hooked(before=lambda _n, _c, command, sent=sent: sent.append(command)):
            assert client.get(url, headers=admin).status_code == 200
            assert client.patch(url, json={"name": "B"}, headers=admin).status_code == 200
            assert client.delete(url, headers=admin).status_code == 204
        on_users = [c for c in sent if "users" in (c.get("find"), c.get("findAndModify"))]
        kinds = [next(iter(c)) for c in on_users]
        assert kinds.count("findAndModify") == 2
        assert "find" in kinds
        for command in on_users:
            touched = explain(command)
            assert len(touched) == 1, command
            used |= touched
    assert len(used) == 2


def test_a_page_touches_both(
    client: FlaskClient,
    admin: dict[str, str],
    seam: Any,
    explain: Callable[[dict[str, Any]], set[str]],
) -> None:
    """Else the test above would prove nothing."""
    sent: list[dict[str, Any]] = []
    with seam.hooked(before=lambda _n, _c, command: sent.append(command)):
        client.get("/api/v1/users", headers=admin)
    assert len(explain(sent[-1])) == 2

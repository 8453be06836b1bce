"""The schema: applied again it changes nothing; what is missing or differs, it mends and tells."""

from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from api import schema
from api.store import Store
from api.store.deadline import deadline
from cluster.local.cluster import LocalCluster


def apply(store: Store) -> list[str]:
    with deadline(60):
        return schema.apply(store)


@pytest.fixture(autouse=True)
def applied(store: Store) -> None:
    """Also to what tests have stored by other ways than the API's, without search keys."""
    apply(store)


def test_again(store: Store) -> None:
    lines = apply(store)
    assert len(lines) == len(schema.wanted())
    for line in lines:
        assert line.endswith(" already"), line


def test_what_is_missing(store: Store) -> None:
    store.collection("projects").drop_index("name_folded_1__id_1")
    changed = [line for line in apply(store) if not line.endswith("already")]
    assert len(changed) == 1
    assert changed[0].endswith("projects is sharded by {owner: hashed, _id: 1} already; "
                               "new indexes: (name_folded, _id)")  # fmt: skip
    assert "name_folded_1__id_1" in store.collection("projects").index_information()


def test_another_lifetime(store: Store) -> None:
    index = {"keyPattern": {"expires": 1}, "expireAfterSeconds": 77}
    store.database.command({"collMod": "idempotency", "index": index})
    changed = [line for line in apply(store) if not line.endswith("already")]
    assert len(changed) == 1
    assert "documents now go 0 s after expires" in changed[0]
    assert (
        store.collection("idempotency").index_information()["expires_1"]["expireAfterSeconds"] == 0
    )


@pytest.fixture
def catalogue(cluster: LocalCluster, store: Store) -> Any:
    """What the config servers say of our collections."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(cluster.uri("admin")) as client:
        prefix = f"{store.database.name}."
        found = client["config"]["collections"].find({"_id": {"$regex": f"^{prefix}"}})
        return {one["_id"].removeprefix(prefix): one for one in found}


def test_every_collection_is_sharded(store: Store, catalogue: Any) -> None:
    for one in schema.wanted():
        assert dict(catalogue[one.name]["key"]) == dict(one.key)
        assert catalogue[one.name].get("unique", False) is one.unique
    assert set(store.database.list_collection_names()) <= set(catalogue)
    unique = store.collection("fs.chunks").index_information()["files_id_1_n_1"]
    assert unique["unique"] is True


def test_what_a_removed_resource_leaves(store: Store) -> None:
    """Its collection, claims and files: listed, and removed when somebody says so."""
    owner, chunk = ObjectId(), {"n": 0, "data": b"x"}
    with deadline(60):
        for name in ("bygone", "bygones"):
            store.collection(name).insert_many([{"n": n} for n in range(3)])
            store.collection("claims").insert_one({"_id": f"{name}.email:a", "owner": owner})
            file = {"_id": ObjectId(), "owner": {"collection": name, "field": "f", "id": owner}}
            store.collection("fs.files").insert_one(file)
            store.collection("fs.chunks").insert_one({**chunk, "files_id": file["_id"]})
        left = {one.name: one for one in schema.orphans(store)}
        assert left["bygone"] == ("bygone", 3, 1, 1)
        assert "users" not in left
        chunks = store.collection("fs.chunks").count_documents({})
        schema.drop(store, "bygone")
        assert store.collection("fs.chunks").count_documents({}) == chunks - 1
        assert [one.name for one in schema.orphans(store)] == ["bygones"]
        assert schema.orphans(store)[0] == left["bygones"]
        for name in ("users", "bygone"):
            with pytest.raises(schema.SchemaError, match="Orphaned are: bygones"):
                schema.drop(store, name)
        schema.drop(store, "bygones")
        assert schema.orphans(store) == []

"""What the database cannot hold: refused; the unique values claimed for it are free again."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from bson.errors import InvalidDocument
from pymongo.errors import DocumentTooLarge, PyMongoError

from api.store import Documents

UNWRITABLE = [
    (object(), InvalidDocument),
    ({"within": [object()]}, InvalidDocument),
    (2**70, OverflowError),
    ("x" * 2**25, DocumentTooLarge),
]
KINDS = ["object", "within", "integer", "length"]


def person() -> dict[str, Any]:
    mark = secrets.token_hex(6)
    return {"name": mark, "email": f"{mark}@example.com", "national_id": mark}


def claimed(users: Documents, fields: dict[str, Any]) -> list[str]:
    """The claims there are on these values. Whoever waits out the grace time gets them anyway."""
    names = [claim.id for claim in users.claims.of(fields, ObjectId(), 1)]
    return [one["_id"] for one in users.claims.collection.find({"_id": {"$in": names}})]


@pytest.mark.parametrize(("value", "error"), UNWRITABLE, ids=KINDS)
@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_new_document(users: Documents, value: Any, error: type[Exception], many: bool) -> None:
    fields = [person() for _ in range(3 if many else 1)]
    with pytest.raises((error, PyMongoError)):
        create(users, many)([*fields[:-1], {**fields[-1], "name": value}])
    for one in fields:
        if users.find_unique("email", one["email"]) is None:  # a part of many may have been created
            assert not claimed(users, one)
            users.create(one)


def create(users: Documents, many: bool) -> Callable[[list[dict[str, Any]]], Any]:
    return users.create_many if many else lambda items: users.create(items[0])


@pytest.mark.parametrize(("value", "error"), UNWRITABLE, ids=KINDS)
def test_a_change(users: Documents, value: Any, error: type[Exception]) -> None:
    made, wanted = users.create(person()), person()
    with pytest.raises((error, PyMongoError)):
        users.change(made["_id"], {"email": wanted["email"], "name": value})
    assert not claimed(users, wanted)
    users.create(wanted)

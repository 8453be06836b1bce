"""A create makes its claims in one command; creators that cross do not refuse one another."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from api.resources import USERS
from api.store import Documents, DuplicateError
from api.store.claims import Claims, as_document
from api.store.deadline import deadline
from api.store.document import fresh


def twin(mark: str) -> dict[str, Any]:
    return {"email": f"{mark}@example.com", "national_id": f"N{mark}", "name": "T"}


def test_one_command_for_all_claims(seam: Any, users: Documents) -> None:
    sent: list[tuple[str, str]] = []
    with seam.hooked(before=lambda name, collection, _c: sent.append((name, collection))):
        users.create(twin(secrets.token_hex(6)))
    assert sent == [("insert", "claims"), ("insert", "users")]


def test_the_same_person_many_times(users: Documents) -> None:
    """All want the same two values, which lie on any shards: one gets them, not none."""
    for _ in range(6):
        mark = secrets.token_hex(6)
        barrier = threading.Barrier(12)

        def create(_: int, mark: str = mark, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            try:
                with deadline(20):
                    users.create(twin(mark))
            except DuplicateError:
                return False
            return True

        with ThreadPoolExecutor(12) as pool:
            assert sorted(pool.map(create, range(12))) == [False] * 11 + [True]
        assert len(list(users.collection.find({"email": f"{mark}@example.com"}))) == 1


def test_crossed_creators(users: Documents) -> None:
    """Each already has one of the two values, and wants the other: one of them gets through."""
    person, hour = twin(secrets.token_hex(6)), 3600.0
    # Neither is fenced, however slow the threads are.
    claims = Claims(users.claims.collection, users.collection, USERS.unique, hour)
    documents = [fresh(person, ObjectId()) for _ in range(2)]
    for held, document in enumerate(documents):
        wanted = claims.of(document, document["_id"], 1)
        claims.collection.insert_one(as_document(wanted[held]))

    def create(document: dict[str, Any]) -> bool:
        try:
            with deadline(20):
                claims.take_all(claims.of(document, document["_id"], 1))
                users.collection.insert_one(document)
        except DuplicateError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(create, documents)) == [False, True]


@pytest.mark.parametrize("field", ["email", "national_id"])
def test_a_refusal_leaves_no_claim(users: Documents, field: str) -> None:
    holder, mark = twin(secrets.token_hex(6)), secrets.token_hex(6)
    users.create(holder)
    with pytest.raises(DuplicateError) as caught:
        users.create({**twin(mark), field: holder[field]})
    assert caught.value.field == field
    users.create(twin(mark))

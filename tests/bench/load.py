"""One run of one load, in a process of its own: PyMongo, several threads, a fixed time.

Reads a `Plan` as JSON from standard input, which keeps the connection string off the command line,
and writes a `Run` as JSON to standard output.
"""

import itertools
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from pymongo import MongoClient, WriteConcern
from pymongo.collection import Collection

from cluster.drill.judge.summary import latency

Documents = Collection[dict[str, Any]]


class Plan(msgspec.Struct):
    """What to do: `kind` is read or insert, `run` a word that no other run has."""

    uri: str
    database: str
    collection: str
    prefix: str
    kind: str
    run: str
    documents: int
    threads: int
    seconds: float
    warm_up: float


class Run(msgspec.Struct):
    """What came of it; latencies in milliseconds."""

    operations_per_second: float
    p50: float
    p99: float


def document(key: str) -> dict[str, Any]:
    """A document of some 300 bytes, much like a user of the API."""
    return {
        "_id": key,
        "name": "Ada Lovelace",
        "email": f"{key}@example.org",
        "phone": "+44 20 7946 0000",
        "address": {"street": "12 St James's Square", "city": "London", "postcode": "SW1Y 4JH"},
        "occupation": "mathematician",
        "note": "x" * 80,
        "version": 1,
    }


def measure(plan: Plan) -> Run:
    """Warm up, then run the plan and measure."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(plan.uri) as client:
        majority = WriteConcern("majority")
        documents: Documents = client[plan.database].get_collection(
            plan.collection, write_concern=majority
        )
        spent: list[list[float]] = [[] for _ in range(plan.threads)]
        barrier = threading.Barrier(plan.threads)
        threads = [
            threading.Thread(target=_client, args=(plan, documents, n, barrier, spent[n]))
            for n in range(plan.threads)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    every = [value for times in spent for value in times]
    if not all(spent):
        raise RuntimeError("a client thread came to nothing; its error is above")
    found = latency(every)
    return Run(len(every) / plan.seconds, found.p50, found.p99)


def _client(
    plan: Plan,
    documents: Documents,
    number: int,
    barrier: threading.Barrier,
    spent: list[float],
) -> None:
    call = (
        _reader(plan, documents, number)
        if plan.kind == "read"
        else _writer(plan, documents, number)
    )
    barrier.wait()
    begin = time.perf_counter() + plan.warm_up
    end = begin + plan.seconds
    before = time.perf_counter()
    while before < end:
        call()
        after = time.perf_counter()
        if begin <= before and after <= end:
            spent.append((after - before) * 1000)
        before = after


def _reader(plan: Plan, documents: Documents, number: int) -> Callable[[], None]:
    chance = random.Random(f"{plan.run}/{number}")  # noqa: S311 - which document, not a secret

    def read() -> None:
        key = f"{plan.prefix}/{chance.randrange(plan.documents):06d}"
        if documents.find_one({"_id": key}) is None:
            raise RuntimeError(f"{key} is not there")

    return read


def _writer(plan: Plan, documents: Documents, number: int) -> Callable[[], None]:
    numbers = itertools.count()

    def insert() -> None:
        documents.insert_one(document(f"{plan.prefix}/{plan.run}-{number}-{next(numbers)}"))

    return insert


if __name__ == "__main__":
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(measure(plan)))

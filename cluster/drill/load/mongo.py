"""A workload's calls as PyMongo makes them, through routers or to a replica set, w:majority."""

import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from pymongo import MongoClient, ReadPreference, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import (
    ConfigurationError,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from cluster.drill.history import Guarantee, Outcome, State
from cluster.drill.load.workload import Effect

Document = dict[str, Any]

REFUSED = frozenset({2, 9, 13, 14, 18, 26, 28, 40, 59, 61, 66, 72, 121, 11000})
"""Codes of errors that the server raises before it writes anything: bad value, unauthorized,
unknown command, a document refused by its validator, … (src/mongo/base/error_codes.yml)."""

LONGEST_READ_MS = 30_000
"""More than an election takes, whatever its timeout: routers wait no longer than a read allows."""


class MongoStore:
    """Keys as documents of one collection. `groups` are shards that `prepare` has placed keys on.

    The client belongs to the caller, who also chooses its options; the driver's defaults, which
    retry every write and read once, are what a drill is about.

    Reads are the primary's, linearizable; or, with another guarantee, they are of what a majority
    has, and are a secondary's if there is one. With `SESSION` each thread that calls has a causal
    session, and all it does there is part of it.
    Source: https://www.mongodb.com/docs/manual/core/causal-consistency-read-write-concerns/
    """

    firmest = Guarantee.LINEARIZABLE
    unique = True
    repeats = False  # the driver does that, unseen

    def __init__(
        self,
        client: "MongoClient[Document]",
        database: str,
        name: str,
        groups: Sequence[str],
        guarantee: Guarantee = Guarantee.LINEARIZABLE,
    ) -> None:
        self.groups = groups
        self.guarantee = guarantee
        self._place = client, database, name
        collection: Collection[Document] = client[database][name]
        self._keys = collection.with_options(write_concern=WriteConcern("majority"))
        self._linearizable = collection.with_options(read_concern=ReadConcern("linearizable"))
        self._majority = collection.with_options(read_concern=ReadConcern("majority"))
        self._elsewhere = self._majority.with_options(
            read_preference=ReadPreference.SECONDARY_PREFERRED
        )
        self._turn = itertools.count()
        self._own = threading.local()

    def insert(self, key: str, token: str) -> Effect:
        """Insert the key's document."""
        document = {"_id": key, "tokens": [token], "version": 1}
        try:
            self._keys.insert_one(document, session=self._session())
        except DuplicateKeyError:
            return Effect(0)
        return Effect()

    def append(self, key: str, token: str) -> Effect:
        """Update the document, every second time by a findAndModify that tells what it left."""
        change = {"$push": {"tokens": token}, "$inc": {"version": 1}}
        if next(self._turn) % 2:
            done = self._keys.update_one({"_id": key}, change, session=self._session())
            return Effect(done.matched_count)
        return _answer(
            self._keys.find_one_and_update(
                {"_id": key},
                change,
                return_document=ReturnDocument.AFTER,
                session=self._session(),
            )
        )

    def read(self, key: str, guarantee: Guarantee) -> Effect:
        """Find the document."""
        wanted = {"_id": key}
        if guarantee is Guarantee.LINEARIZABLE:
            return _answer(self._linearizable.find_one(wanted, max_time_ms=LONGEST_READ_MS))
        return _answer(
            self._elsewhere.find_one(wanted, max_time_ms=LONGEST_READ_MS, session=self._session())
        )

    def delete(self, key: str) -> Effect:
        """Delete the document, and tell what it held."""
        return _answer(self._keys.find_one_and_delete({"_id": key}, session=self._session()))

    @property
    def scanned(self) -> Guarantee:
        """No scan is linearizable."""
        weak = self.guarantee is not Guarantee.LINEARIZABLE
        return self.guarantee if weak else Guarantee.MAJORITY

    def scan(self, prefix: str = "") -> Iterable[tuple[str, State]]:
        """Find the documents; without a prefix on every shard."""
        wanted = {"_id": {"$gte": prefix, "$lt": f"{prefix}:"}} if prefix else {}
        weak = prefix and self.guarantee is not Guarantee.LINEARIZABLE
        documents = self._elsewhere if weak else self._majority
        found = documents.find(
            wanted, batch_size=1000, session=self._session(), max_time_ms=LONGEST_READ_MS
        )
        for document in found:
            yield document["_id"], _state(document)

    def _session(self) -> ClientSession | None:
        """The calling thread's session; the driver ends it with the client."""
        if self.guarantee is not Guarantee.SESSION:
            return None
        if not hasattr(self._own, "session"):
            self._own.session = self._place[0].start_session(causal_consistency=True)
        session: ClientSession = self._own.session
        return session

    def move(self, group: str, shard: str) -> None:
        """Move a group's chunk to a shard; returns when it is there. Raises PyMongoError."""
        move(*self._place, group, shard)

    def outcome(self, error: Exception) -> Outcome:
        """Without effect is only what was never sent, or refused before anything was written."""
        if isinstance(error, WriteConcernError):
            return Outcome.UNKNOWN  # written, but not known to a majority
        if isinstance(error, OperationFailure):
            refused = isinstance(error, DuplicateKeyError) or error.code in REFUSED
            return Outcome.FAILED if refused else Outcome.UNKNOWN
        # The driver raises the first try's error, not this one, if only the retry found no server.
        unsent = (ServerSelectionTimeoutError, ConfigurationError, InvalidOperation)
        return Outcome.FAILED if isinstance(error, unsent) else Outcome.UNKNOWN


def prepare(
    client: "MongoClient[Document]", database: str, name: str, shards: Sequence[str]
) -> None:
    """Make the collection, sharded by `_id`, with each shard's keys in one chunk on that shard."""
    namespace = f"{database}.{name}"
    admin = client.admin
    admin.command("enableSharding", database)
    admin.command("shardCollection", namespace, key={"_id": 1})
    for shard in shards:
        move(client, database, name, shard, shard)


def move(client: "MongoClient[Document]", database: str, name: str, group: str, shard: str) -> None:
    """Move the chunk with the group's keys to a shard; returns when it is there."""
    client.admin.command(
        "moveRange",
        f"{database}.{name}",
        toShard=shard,
        min={"_id": f"{group}/"},
        max={"_id": f"{group}0"},  # "0" follows "/": the range holds exactly the keys "group/…"
    )


def _answer(document: Document | None) -> Effect:
    if document is None:
        return Effect(0)
    return Effect(1, _state(document))


def _state(document: Document) -> State:
    return State(tuple(document["tokens"]), document["version"])

"""The one MongoClient of a worker process: how it is set, and whether the database answers."""

import os
import secrets
import threading
from collections import deque
from datetime import UTC
from typing import Any, NamedTuple

import msgspec
from bson import MaxKey
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from bson.int64 import Int64
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from api.store.claims import COLLECTION as CLAIMS
from api.store.claims import Watch
from api.store.deadline import attempt

Raw = dict[str, Any]

DEFAULT_DATABASE = "shardstack"
MOST_NOTES = 1000  # changes that wait for the feed, which looks twice a second


class _Integers(TypeDecoder):
    """Integers of 64 bits as Python's own: what PyMongo makes of them no JSON encoder takes."""

    bson_type = Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)


CODEC: CodecOptions[Raw] = CodecOptions(
    tz_aware=True, tzinfo=UTC, type_registry=TypeRegistry([_Integers()])
)


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the database. Times in seconds."""

    uri: str
    deadline: float = 10.0
    server_selection: float = 3.0
    pool_wait: float = 1.5
    pool_size: int = 16
    claim_grace: float = 30.0

    @property
    def database_name(self) -> str:
        """The database in the URI's path, or `shardstack`."""
        return str(parse_uri(self.uri)["database"] or DEFAULT_DATABASE)

    @property
    def routers(self) -> int:
        """How many routers the URI names."""
        return len(parse_uri(self.uri)["nodelist"])


class Note(NamedTuple):
    """What was done to a document; None: to many. feed.py tells it on."""

    collection: str
    verb: str
    document: Raw | None


class Store:
    """Access to the database; connects at first use.

    MongoClient must not cross a fork (its locks and sockets do not survive one), so the client
    belongs to the process that first asks for it and a forked child gets its own.
    """

    def __init__(self, options: StoreOptions) -> None:
        self.options = options
        self.watch = Watch()  # over who tries to take unique values
        self.notes: deque[Note] = deque(
            maxlen=MOST_NOTES
        )  # of changes; without a feed, of the last
        self._lock = threading.Lock()
        self._pid = 0
        self._database: Database[Raw] | None = None
        self._client: MongoClient[Raw] | None = None
        # Making one costs a tenth of a read.
        self._collections: dict[tuple[str, str | None], Collection[Raw]] = {}

    @property
    def database(self) -> Database[Raw]:
        """The application's database."""
        if self._database is None or self._pid != os.getpid():
            with self._lock:
                if self._database is None or self._pid != os.getpid():
                    self._connect()
        assert self._database is not None  # noqa: S101 - for the type checker
        return self._database

    def collection(self, name: str, read_concern: str | None = None) -> Collection[Raw]:
        """A collection, with times as aware UTC and majority writes."""
        database = self.database
        found = self._collections.get((name, read_concern))
        if found is None:
            concern = None if read_concern is None else ReadConcern(read_concern)
            found = database.get_collection(name, read_concern=concern)
            self._collections[name, read_concern] = found
        return found

    def reachable(self) -> bool:
        """Whether a router answered lately, by what the monitors know; makes no call."""
        return self.database.client.topology_description.has_writable_server()

    def close(self) -> None:
        """Close the connections. The next use opens new ones."""
        with self._lock:
            if self._client is not None and self._pid == os.getpid():
                self._client.close()
            self._client = self._database = None
            self._collections = {}

    def _connect(self) -> None:
        options = self.options
        self._collections = {}
        self._client = MongoClient(
            options.uri,
            appname="shardstack-api",
            serverSelectionTimeoutMS=int(options.server_selection * 1000),
            waitQueueTimeoutMS=int(options.pool_wait * 1000),
            maxPoolSize=options.pool_size,
            # Every router is asked this often whether it is there. One that stands still, or whose
            # packets vanish, does not answer within the second time: then PyMongo interrupts the
            # calls that wait for it, and makes them again through another router, writes under
            # their transaction number. Without it they would wait for their whole deadline. It
            # takes 3.5 s at most: these two, and half a second until a waiting call looks.
            heartbeatFrequencyMS=1000,
            connectTimeoutMS=2000,
        )
        self._database = self._client.get_database(
            options.database_name,
            codec_options=CODEC,
            write_concern=WriteConcern(w="majority"),
        )
        self._pid = os.getpid()


def probe_reads(store: Store) -> None:
    """Read what a majority of some shard's members has. Raises UnavailableError.

    Of a made-up claim, so that each call asks a shard that chance chooses: one of them may be down.
    """
    name = f"probe:{secrets.token_hex(8)}"
    claims = store.collection(CLAIMS, "majority")
    attempt(lambda: claims.find_one({"_id": name}, {"_id": 1}), idempotent=True)


def probe_writes(store: Store) -> None:
    """A write that changes nothing, on every shard. Raises UnavailableError.

    It waits as others do: for a primary, for a lock that keeps it from taking writes (fsync), and
    for a majority. No `_id` is beyond MaxKey, and by an inequality no shard can be left out.
    """
    claims = store.collection(CLAIMS)
    nothing = {"_id": {"$gt": MaxKey()}}
    attempt(lambda: claims.update_many(nothing, {"$set": {"probed": True}}), idempotent=True)


def router(store: Store) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers of a router to buildInfo and hello. Raises UnavailableError."""
    client = store.database.client
    build = attempt(lambda: client.admin.command("buildInfo"), idempotent=True)
    return build, attempt(lambda: client.admin.command("hello"), idempotent=True)

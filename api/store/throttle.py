"""So many in a span of time and no more, over all workers: counted in the database.

The counting is the library `limits`' fixed window: one document per counter in `throttle`, made by
the first hit, gone (TTL) when its span is over. A hit is one atomic find-and-modify on one shard,
acknowledged by a majority, so N simultaneous hits get N different numbers, whichever workers send
them, and a failover forgets none. A hit whose answer was lost is repeated and may count twice: that
errs on the strict side.
"""

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from limits import RateLimitItem, parse
from limits.storage.mongodb import MongoDBStorageBase
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from api.store.client import Store
from api.store.deadline import attempt, tally_retry, tally_throttled
from api.store.errors import ThrottledError, UnavailableError

COLLECTION = "throttle"
ENDS = "expireAt"  # of a counter, as the library names it; with a TTL index

T = TypeVar("T")


class Storage(MongoDBStorageBase):
    """The library's storage over our client; its collection and index are made by the schema."""

    STORAGE_SCHEME = None  # made here only, never from an address

    def __init__(self, store: Store) -> None:
        super().__init__("", counter_collection_name=COLLECTION)
        self._store = store

    def __del__(self) -> None:
        """Nothing: the library would close the client here, and the client is the store's."""

    def _init_mongo_client(self, uri: str | None, **options: Any) -> Any:
        raise NotImplementedError("the client is the store's")

    @property
    def _database(self) -> Any:
        return self._store.database


class Throttle:
    """One rate for one kind of thing: log-ins by address, say."""

    def __init__(self, store: Store, kind: str, rate: str) -> None:
        self._storage = Storage(store)
        self._kind = kind
        self._rate: RateLimitItem = parse(rate)

    def hit(self, who: str) -> None:
        """Count one of `who`'s. Raises `ThrottledError` when that is too many."""
        key = self._key(who)
        span = self._rate.get_expiry()
        count = _counted(lambda: self._storage.incr(key, span))
        if count > self._rate.amount:
            tally_throttled()
            ends = attempt(lambda: self._storage.get_expiry(key), idempotent=True)
            left = min(span, max(1, math.ceil(ends - time.time())))
            raise ThrottledError(left, first=count == self._rate.amount + 1)

    def give_back(self, who: str) -> None:
        """Take back one hit, which turned out not to count. Does not wait for a majority."""
        condition = {"_id": self._key(who), "count": {"$gt": 0}}
        # Repeated it might take back twice: rather not at all.
        with suppress(UnavailableError):
            attempt(
                lambda: self._counters.update_one(condition, {"$inc": {"count": -1}}),
                idempotent=False,
            )

    def clear(self, who: str) -> None:
        """Forget what was counted of `who`.

        Does not wait for a majority: if a failover brings the counter back, that is strict, too.
        """
        key = self._key(who)
        attempt(lambda: self._counters.delete_one({"_id": key}), idempotent=True)

    @property
    def _counters(self) -> Any:
        return self._storage.counters.with_options(write_concern=WriteConcern(w=1))

    def _key(self, who: str) -> str:
        """Hashed: counters tell nobody's address or name, and are all of one size."""
        return hashlib.sha256(f"{self._kind}:{who}".encode()).hexdigest()


def _counted(call: Callable[[], T]) -> T:
    """Two simultaneous first hits may both try to make the counter; the second finds it made."""
    while True:
        try:
            return attempt(call, idempotent=True)
        except DuplicateKeyError:
            tally_retry()

"""What members hold: databases and collections, asked in the background, about once a minute.

To answer takes a server the longer, the more collections it has (not: documents). So at most MOST
of them are told of, no scrape waits for it, and one member is asked after the other.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pymongo.errors import OperationFailure, PyMongoError

from cluster.servers.census import INTERNAL
from cluster.servers.connections import Client
from cluster.servers.waiting import Cancelled

EVERY_SECONDS = 60.0
MOST = 50
"""Collections of one member, and databases, that are told of."""
TOLD = ("count", "size", "storageSize", "totalSize", "totalIndexSize", "nindexes")
"""Of what a collection is like: the rest is for who looks at one collection."""

Document = Mapping[str, Any]


class Held(NamedTuple):
    """A part of what a member holds: a document of figures, as answered to the command `path`."""

    path: str
    labels: Mapping[str, str]
    document: Document


class Holdings:
    """What each member held when it was last asked, by name; asks as long as it is open."""

    def __init__(self, members: Iterable[tuple[str, Callable[[], Client]]]) -> None:
        self._members = list(members)
        self._found: dict[str, list[Held]] = {}
        self._ending = threading.Event()
        threading.Thread(target=self._run, name="holdings", daemon=True).start()

    def of(self, member: str) -> list[Held]:
        """What a member held; nothing as long as it has not been asked."""
        return self._found.get(member, [])

    def close(self) -> None:
        """Ask no more."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.is_set():
            for name, client in self._members:
                if self._ending.is_set():
                    return
                try:
                    self._found[name] = list(holdings(client()))
                except Cancelled:
                    return
                except PyMongoError:
                    self._found.pop(name, None)  # nobody knows any more
            self._ending.wait(EVERY_SECONDS)


def holdings(client: Client) -> Iterator[Held]:
    """What one member holds; without what it refuses to tell. Raises PyMongoError."""
    for part in (_version, _oplog, _use, _databases):
        # An answer about many collections may be longer than a server may send.
        with contextlib.suppress(OperationFailure):
            yield from part(client)


def _version(client: Client) -> Iterator[Held]:
    version = client.admin.command("getParameter", featureCompatibilityVersion=1)
    number = float(version["featureCompatibilityVersion"]["version"])
    yield Held("fcv", {}, {"feature_compatibility_version": number})


def _oplog(client: Client) -> Iterator[Held]:
    [oplog] = client["local"]["oplog.rs"].aggregate([{"$collStats": {"storageStats": {}}}])
    yield Held("oplog", {}, oplog["storageStats"])


def _use(client: Client) -> Iterator[Held]:
    totals = client.admin.command("top")["totals"]
    named = {name: use for name, use in totals.items() if isinstance(use, Mapping)}
    for name in sorted(named, key=lambda name: -named[name]["total"]["time"])[:MOST]:
        yield Held("top", _labels(name), named[name])


def _databases(client: Client) -> Iterator[Held]:
    left = MOST
    yield Held("dbstats", {"database": "local"}, client["local"].command("dbStats"))  # of the disk
    for name in sorted(set(client.list_database_names()) - INTERNAL)[:MOST]:
        database = client[name]
        yield Held("dbstats", {"database": name}, database.command("dbStats"))
        found = database.list_collection_names(filter={"type": "collection"})
        for collection in sorted(found)[:left]:
            [stats] = database[collection].aggregate([{"$collStats": {"storageStats": {}}}])
            told = {key: stats["storageStats"].get(key) for key in TOLD}
            yield Held("collstats", _labels(f"{name}.{collection}"), {"storageStats": told})
            left -= 1


def _labels(namespace: str) -> dict[str, str]:
    database, _, collection = namespace.partition(".")
    return {"database": database, "collection": collection}

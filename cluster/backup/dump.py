"""The dump of a whole sharded cluster at one moment. README.md says what that means.

The moment is one cluster time T. Every member keeps for a while what its documents were before
(`servers.snapshots` sees to it that this is long enough), and serves reads with `readConcern:
{level: "snapshot", atClusterTime: T}`: what was committed by a majority at T, across shards,
wherever chunks have moved since. Nobody waits for such a read.
Source: https://www.mongodb.com/docs/manual/reference/read-concern-snapshot/
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bson import Timestamp
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from cluster.backup import catalogue
from cluster.backup.copying import Stop, copy_out, each
from cluster.backup.manifest import Entry, Manifest, new_backup, write_manifest, write_metadata
from cluster.errors import ClusterError
from cluster.model.layout import ReplicaSet
from cluster.servers.connections import Access, Client, Connections, short
from cluster.servers.replica_set import primary_of, states
from cluster.servers.snapshots import KeptSnapshots, keep_snapshots
from cluster.servers.waiting import Waiter
from cluster.servers.writable import assert_writable
from console import Report

NOTE = {
    "appendOplogNote": 1,
    "data": {"shardstack": "a dump asks for the time"},
    "writeConcern": {"w": "majority", "wtimeout": 5000},
}
SHARD_PATIENCE = 30.0  # seconds for a shard to have a primary, and a majority behind it


class At(ReadConcern):
    """What was there at one cluster time. (The driver's own knows the level only.)"""

    def __init__(self, time: Timestamp) -> None:
        super().__init__("snapshot")
        self.time = time

    @property
    def document(self) -> dict[str, Any]:
        """As it stands in a command."""
        return {"level": "snapshot", "atClusterTime": self.time}


def next_moment(access: Access) -> Timestamp:
    """A cluster time that every shard has just passed.

    It is the beginning of the second that follows the newest clock of all shards. So whatever was
    acknowledged before the call is in it; and as each shard goes by its own clock, it is one
    moment for all of them as exactly as their hosts' clocks agree. A majority of each shard has
    all of it. Raises DeadlineError when a shard has no primary, or no majority.
    """
    shards = access.layout.shards
    with access.connections() as connections, ThreadPoolExecutor(len(shards)) as pool:
        moment = Timestamp(max(_clocks(connections, shards, pool)).time + 1, 0)
        Waiter(SHARD_PATIENCE).until(
            lambda: True if min(_clocks(connections, shards, pool)) > moment else None,
            lambda: "a shard's clock is far behind another's. Set the hosts' clocks.",
        )
    return moment


def _clocks(
    connections: Connections, shards: Sequence[ReplicaSet], pool: ThreadPoolExecutor
) -> list[Timestamp]:
    return list(pool.map(lambda shard: _clock(connections, shard), shards))


def _clock(connections: Connections, shard: ReplicaSet) -> Timestamp:
    """The time of an entry in the shard's oplog that a majority has: its clock now, or later."""
    last = ""

    def note() -> Timestamp | None:
        nonlocal last
        primary = primary_of(connections, shard)
        if primary is None:
            return None
        try:
            time: Timestamp = connections.member(primary).admin.command(NOTE)["operationTime"]
        except PyMongoError as error:  # an election, or a lock that is held this moment
            last = f" ({primary.name}: {short(error)})"
            return None
        return time

    return Waiter(SHARD_PATIENCE).until(
        note, lambda: f"{shard.name} takes no write{last}: {states(connections, shard)}. Run `up`."
    )


Tell = tuple[Report, Report]  # of a change, and of a stretch that is done

SILENCE_MS = 60_000  # no batch takes so long to read
TRIES = 3  # moments; what voids one is rare
READS = 5  # of one collection at one moment: an election breaks a read off
PATIENCE = 60.0  # seconds for the cluster to answer again
SETTLED = 30.0  # seconds in which no collection is made or dropped for a moment
CAPPED_AT_A_TIME = (8, 0)
# SnapshotTooOld, SnapshotUnavailable, StaleChunkHistory; ShardNotFound: it was removed since.
PAST = {239, 246, 250, 70}


class VoidError(ClusterError):
    """The moment cannot be read any more: what was read of it is of no use."""


@dataclass(frozen=True)
class Dumped:
    """What a dump came to; `moment` is ISO 8601, `tries` how many moments it took."""

    folder: Path
    collections: int
    documents: int
    size: int
    moment: str
    tries: int


def dump(access: Access, place: Path, tell: Tell) -> Dumped:
    """Writes the backup `place`. Nobody waits for it, and it changes nothing in the cluster.

    Raises ClusterError, and then leaves nothing at the place.
    """
    try:
        with (
            new_backup(place) as folder,
            client_of(access, "backup", SILENCE_MS) as client,
            access.connections() as connections,
        ):
            # Behind a lock a shard's clock stands still, and so would a read at a later time.
            assert_writable(connections, access.layout.shards)
            return _Dump(access, client, connections, tell).run(folder, place)
    except PyMongoError as error:
        raise ClusterError(f"the cluster does not answer: {short(error)}. See `status`.") from None


def client_of(access: Access, user: str, silence_ms: int | None = None) -> Client:
    """A client through the routers; after `silence_ms` without an answer it gives a call up."""
    return MongoClient(
        access.uri(user),
        appname="shardstack",
        serverSelectionTimeoutMS=20_000,
        socketTimeoutMS=silence_ms,
    )


class _Dump:
    def __init__(
        self, access: Access, client: Client, connections: Connections, tell: Tell
    ) -> None:
        self.access = access
        self.client = client
        self.connections = connections
        self.report, self.phase = tell

    def run(self, folder: Path, place: Path) -> Dumped:
        """Reads the cluster at one moment, again while that fails, at most `TRIES` times.

        Writes into the temporary `folder`; the backup will be at `place`. Raises ClusterError.
        """
        with keep_snapshots(self.connections, self.access.layout, self.report) as kept:
            for tries in range(1, TRIES + 1):
                part = folder / f"try-{tries}"
                part.mkdir(mode=0o700)
                try:
                    contents = self._try(part, kept)
                except VoidError as error:
                    self.report(f"void: {error}")
                    shutil.rmtree(part)
                    if tries == TRIES:
                        raise ClusterError(
                            f"no dump came about in {TRIES} tries; the last one: {error}"
                        ) from None
                    continue
                break
        _settle(part, folder)
        entries = contents.entries
        documents, size = sum(e.documents for e in entries), sum(e.size for e in entries)
        return Dumped(place, len(entries), documents, size, contents.taken, tries)

    def _try(self, folder: Path, kept: KeptSnapshots) -> Manifest:
        contents = self._agree(folder)
        self.phase(f"the moment is {contents.taken}")
        left = [e for e in contents.entries if e.has_documents and not e.digest]

        def copy(entry: Entry, stop: Stop) -> None:
            self._copy(folder, entry, At(contents.moment), stop)
            self.report(f"{entry.namespace}: {entry.documents} documents")

        each(left, copy, kept.look)
        for entry in contents.entries:
            write_metadata(folder, entry)
        write_manifest(folder, contents)
        return contents

    # ---- the moment ---------------------------------------------------------------------------

    def _agree(self, folder: Path) -> Manifest:
        """A moment, and what no member remembers of it: the collections that there were.

        These are read before and after it. Where they are the same, they were so at the moment.
        """
        before = self._now(folder)

        def agreed() -> Manifest | None:
            nonlocal before
            moment = next_moment(self.access)
            after = self._now(folder)
            same = catalogue.exact(before) == catalogue.exact(after)
            before = after
            if same:
                after.moment = moment
            return after if same else None

        return Waiter(SETTLED).until(
            agreed,
            lambda: (
                f"for {SETTLED:.0f} s a collection was made, dropped or changed every second (or "
                "documents in a capped one). Run it again when that has ended."
            ),
        )

    def _now(self, folder: Path) -> Manifest:
        """Collections, options, indexes; of capped ones also the documents, before MongoDB 8.0."""
        contents = catalogue.contents(self.client)
        if _version(contents.server) < CAPPED_AT_A_TIME:
            for entry in contents.entries:
                if entry.is_capped:
                    copy_out(self.client, folder, entry, ReadConcern("majority"), Stop())
        return contents

    # ---- its documents ------------------------------------------------------------------------

    def _copy(self, folder: Path, entry: Entry, at: ReadConcern, stop: Stop) -> None:
        """One collection; from its beginning again when the reading breaks off."""
        last = ""
        for _ in range(READS):
            try:
                copy_out(self.client, folder, entry, at, stop)
            except PyMongoError as error:
                last = short(error)
                if isinstance(error, OperationFailure) and error.code in PAST:
                    raise VoidError(
                        f"{entry.namespace} cannot be read at the moment any more: {last}."
                    ) from None
            else:
                last = ""
            if not self._is_unchanged(entry, stop):
                raise VoidError(f"{entry.namespace} was dropped, renamed or moved meanwhile.")
            if not last:
                return
        raise ClusterError(f"{entry.namespace} cannot be read: {last}. See `status`.")

    def _is_unchanged(self, entry: Entry, stop: Stop) -> bool:
        """Asked until the cluster answers. Of one that was dropped, a read shows nothing."""
        last = ""

        def ask() -> bool | None:
            nonlocal last
            stop()
            try:
                return catalogue.is_unchanged(self.client, entry)
            except PyMongoError as error:
                last = short(error)
                return None

        return Waiter(PATIENCE).until(
            ask, lambda: f"the cluster does not answer: {last}. See `status`.", every=0.5
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def _settle(part: Path, folder: Path) -> None:
    """Makes the try that came about the backup."""
    part = part.rename(folder / ".whole")  # since a database may be called try-1
    for path in part.iterdir():
        path.rename(folder / path.name)
    part.rmdir()

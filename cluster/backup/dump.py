"""The dump of a whole sharded cluster at one moment: see README.md for what that means."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from cluster.access import Access
from cluster.backup import catalogue, locks, tools
from cluster.backup.copying import copy_out
from cluster.backup.documents import digest_of
from cluster.backup.fence import BrokenFenceError, Fence, fence
from cluster.backup.folder import new_backup
from cluster.backup.manifest import (
    Contents,
    Entry,
    documents_file,
    write_manifest,
    write_metadata,
)
from cluster.backup.parallel import Stop, each
from cluster.balancer import assert_free, balancer_off, put_back
from cluster.connect import Client, short
from cluster.errors import ClusterError
from cluster.layout import Node

Report = Callable[[str], None]
Tell = tuple[Report, Report]  # of a change, and of a stretch that is done

PURPOSE = "a dump"
SILENCE_MS = 60_000  # no batch takes so long to read
TRIES = 3  # an election voids a dump; three in a row are no accident


@dataclass(frozen=True)
class Dumped:
    """What a dump came to; `fence_seconds` is how long writers waited, `tries` how often."""

    folder: Path
    collections: int
    documents: int
    size: int
    fence_seconds: float
    tries: int


def dump(access: Access, place: Path, longest: float, tell: Tell) -> Dumped:
    """Writes the backup `place`; writers wait at most `longest` seconds.

    Raises ClusterError, and then leaves nothing at the place; the balancer is as it was, and
    writes go on.
    """
    report, phase = tell
    try:
        with new_backup(place) as folder, client_of(access, "admin") as client:
            lift_left_behind(access, client, report)
            with balancer_off(client, report, PURPOSE):
                phase("no chunk moves")
                return _Dump(access, client, longest, tell).run(folder, place)
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
    def __init__(self, access: Access, client: Client, longest: float, tell: Tell) -> None:
        self.access = access
        self.client = client
        self.longest = longest
        self.report, self.phase = tell
        self.tool = tools.found("mongodump")

    def run(self, folder: Path, place: Path) -> Dumped:
        """Tries until the fence held; leaves the backup in `folder`, which becomes `place`."""
        catalogue.entries(self.client)  # what cannot be dumped is refused before anybody waits
        for tries in range(1, TRIES + 1):
            part = folder / f"try-{tries}"
            try:
                contents, seconds = self._try(part)
            except BrokenFenceError as error:
                self.report(f"void: {error}")
                if tries == TRIES:
                    raise ClusterError(
                        f"no dump came about in {TRIES} tries; the last one: {error} See `status`."
                    ) from None
                continue
            self._finish(part, contents)
            _settle(part, folder)
            entries = contents.entries
            return Dumped(
                place,
                len(entries),
                sum(entry.documents for entry in entries),
                sum(entry.size for entry in entries),
                seconds,
                tries,
            )
        raise AssertionError

    def _try(self, folder: Path) -> tuple[Contents, float]:
        folder.mkdir(mode=0o700)
        self._wake()
        with fence(self.access, self.client, self.longest) as standing:
            self.phase("writes wait")
            before = catalogue.fingerprint(self.client)
            taken = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
            contents = Contents(
                taken,
                str(self.client.admin.command("buildInfo")["version"]),
                catalogue.primaries(self.client),
                catalogue.zones(self.client),
                catalogue.entries(self.client),
            )
            self._copy(folder, contents.entries, standing)
            standing.prove()
            if catalogue.fingerprint(self.client) != before:
                raise BrokenFenceError("a chunk was moved or a collection changed meanwhile.")
            standing.prove()
        self.phase(f"writes go on; they waited {standing.seconds:.2f} s")
        return contents, standing.seconds

    def _wake(self) -> None:
        """Has every shard look up what it owns.

        After a restart it does so at the first read, and writes it down; behind the fence that
        read would wait for ever.
        """
        for entry in catalogue.entries(self.client):
            if entry.has_documents:
                self.client[entry.database][entry.name].find_one()

    def _copy(self, folder: Path, entries: list[Entry], standing: Fence) -> None:
        if self.tool:
            names = sorted({entry.database for entry in entries})
            tools.dump(self.tool, self.access.uri("backup"), folder, names, standing.prove)
            return
        with client_of(self.access, "backup", SILENCE_MS) as client:

            def copy(entry: Entry, stop: Stop) -> None:
                copy_out(client, folder, entry, stop)
                self.report(f"{entry.namespace}: {entry.documents} documents")

            try:
                each([e for e in entries if e.has_documents], copy, standing.prove)
            except PyMongoError as error:
                # A primary that was lost while it was read; else the next try shows it again.
                raise BrokenFenceError(f"reading failed: {short(error)}.") from None

    def _finish(self, part: Path, contents: Contents) -> None:
        """What needs no fence: metadata, digests, the manifest."""
        for entry in contents.entries:
            if not self.tool:
                write_metadata(part, entry)
            elif entry.has_documents:
                entry.hold(digest_of(documents_file(part, entry)))
        write_manifest(part, contents)


def _settle(part: Path, folder: Path) -> None:
    """Makes the try that came about the backup, and deletes the others."""
    for path in folder.iterdir():
        if path != part:
            shutil.rmtree(path)
    part = part.rename(folder / ".whole")  # since a database may be called try-1
    for path in part.iterdir():
        path.rename(folder / path.name)
    part.rmdir()


def lift_left_behind(access: Access, client: Client, report: Report) -> None:
    """Unlocks members that a dump left locked which died together with its warden.

    Raises ClusterError when somebody holds a lock who is alive, or who is not one of ours.
    """
    with access.connections() as connections:
        members = _members(access)
        held = locks.locked(connections, members)
        if not held:
            return
        names = ", ".join(node.name for node in held)
        if not assert_free(client):
            raise ClusterError(
                f"{names}: locked against writes (fsync), and not by a dump from here. Whoever "
                "did it shall unlock it, or `dump --unlock`."
            )
        locks.lift(connections, held)
        report(f"unlocked {names}, which a dump left behind that died")


def unlock(access: Access, report: Report) -> list[str]:
    """Undoes what a dump left behind that died; the names of the members that were locked.

    Raises ClusterError when one is under way.
    """
    with client_of(access, "admin") as client, access.connections() as connections:
        try:
            assert_free(client)
            lifted = [node.name for node in locks.lift(connections, _members(access))]
            if lifted:
                report(f"unlocked {', '.join(lifted)}")
            put_back(client, report)
        except PyMongoError as error:
            raise ClusterError(
                f"the cluster does not answer: {short(error)}. See `status`."
            ) from None
    return lifted


def _members(access: Access) -> list[Node]:
    return [node for s in access.layout.sets for node in s.members]

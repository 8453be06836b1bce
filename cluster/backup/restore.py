"""Puts a backup into an empty cluster, and compares what is there then with what should be.

A note in `cluster.restores` says from the first change to the last what is being made. Whoever
restores after an interruption drops that, and nothing else, and begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import PyMongoError
from pymongo.write_concern import WriteConcern

from cluster.backup import catalogue, copying
from cluster.backup.compare import differing_descriptions, differing_documents
from cluster.backup.copying import Stop, copy_in, each
from cluster.backup.dump import Tell, client_of
from cluster.backup.manifest import Entry, Manifest, open_backup
from cluster.errors import ClusterError
from cluster.servers.balancer import balancer_off
from cluster.servers.connections import Access, Client, short
from cluster.servers.writable import assert_writable

PURPOSE = "a restore"
NOTE = "restore"


class DifferenceError(ClusterError):
    """What was restored is not what the backup holds; its lines name the first differences."""

    status = 3


@dataclass(frozen=True)
class Restored:
    """What a restore came to; `compared` is False when nobody wanted to know."""

    collections: int
    documents: int
    size: int
    compared: bool


def restore(access: Access, folder: Path, tell: Tell, *, compare: bool = True) -> Restored:
    """Restores the backup in `folder`.

    Raises DamageError (nothing was changed), DifferenceError, or ClusterError: the cluster is not
    empty (nothing was changed), or it refuses something.
    """
    report, phase = tell
    contents = open_backup(folder)
    phase(f"the backup of {contents.taken} is whole")
    try:
        with client_of(access, "admin") as client, access.connections() as connections:
            assert_writable(connections, access.layout.sets)
            _refuse_unless_empty(client)
            with balancer_off(client, report, PURPOSE):
                phase("no chunk moves")
                _Restore(access, client, folder, contents, tell).run(compare)
    except PyMongoError as error:
        raise ClusterError(
            f"the cluster does not do it: {short(error)}. See `status`; then run the same command "
            "again, it begins anew."
        ) from None
    entries = contents.entries
    documents, size = sum(e.documents for e in entries), sum(e.size for e in entries)
    return Restored(len(entries), documents, size, compare)


def _notes(client: Client) -> Collection[dict[str, Any]]:
    return client.get_database("cluster", write_concern=WriteConcern("majority"))["restores"]


def _left_behind(client: Client) -> list[str]:
    note = _notes(client).find_one({"_id": NOTE})
    return list(note["namespaces"]) if note else []


def _refuse_unless_empty(client: Client) -> None:
    ours = set(_left_behind(client))
    there = [namespace for namespace in catalogue.what_is_there(client) if namespace not in ours]
    if there:
        shown = ", ".join(there[:5]) + (f" and {len(there) - 5} more" if there[5:] else "")
        raise ClusterError(
            f"the cluster is not empty: it holds {shown}. Restore into a new one, or drop that."
        )


class _Restore:
    def __init__(
        self, access: Access, client: Client, folder: Path, contents: Manifest, tell: Tell
    ) -> None:
        self.access = access
        self.client = client
        self.folder = folder
        self.contents = contents
        self.report, self.phase = tell
        self.filled = [entry for entry in contents.entries if entry.has_documents]

    def run(self, compare: bool) -> None:
        self._begin()
        self._make()
        self.phase(f"{len(self.contents.entries)} collections and views made")
        self._fill()
        self.phase(f"{sum(entry.documents for entry in self.filled)} documents restored")
        if compare:
            self._compare()
            self.phase("every document is the same")
        for entry in self.contents.entries:
            catalogue.set_expiry(self.client, entry)
        if compare:
            self._differ(
                differing_descriptions(self.contents.entries, catalogue.entries(self.client))
            )
            self.phase("options, indexes and shard keys are the same")
        _notes(self.client).delete_one({"_id": NOTE})

    def _begin(self) -> None:
        _refuse_unless_empty(self.client)  # again, now that no other restore can be under way
        left = _left_behind(self.client)
        if left:
            catalogue.clear(self.client, left)
            self.report(f"dropped {len(left)} collections of a restore that did not end")
        note = {"namespaces": [entry.namespace for entry in self.contents.entries]}
        _notes(self.client).replace_one({"_id": NOTE}, note, upsert=True)

    def _make(self) -> None:
        catalogue.make_databases(self.client, self.contents, self.report)
        zones = catalogue.make_zones(self.client, self.contents, self.report)
        for entry in sorted(self.contents.entries, key=lambda entry: entry.kind):  # views last
            try:
                catalogue.make_collection(self.client, entry, zones)
            except PyMongoError as error:
                raise ClusterError(
                    f"{entry.namespace} cannot be made: {short(error)}. Solve that, then run the "
                    "same command again."
                ) from None

    def _fill(self) -> None:
        tool = copying.tool_on_path("mongorestore")
        if tool:
            uri = self.access.uri("admin")
            copying.restore_by(tool, uri, self.folder, self.filled)
            return

        def fill(entry: Entry, stop: Stop) -> None:
            copy_in(self.client, self.folder, entry, stop)
            self.report(f"{entry.namespace}: {entry.documents} documents")

        each(self.filled, fill)

    def _compare(self) -> None:
        lines: list[str] = []

        def compare(entry: Entry, stop: Stop) -> None:
            lines.extend(differing_documents(self.client, self.folder, entry, stop))

        each(self.filled, compare)
        self._differ(lines)

    @staticmethod
    def _differ(lines: list[str]) -> None:
        if lines:
            raise DifferenceError(*lines)

"""Compares a cluster with a backup: every document byte for byte, then what they are kept in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import bson
from bson.raw_bson import RawBSONDocument

from cluster.backup.copying import Stop
from cluster.backup.manifest import Digest, Entry, documents_file, read, split
from cluster.servers.connections import Client

NAMED = 10  # differences of one collection that are spelt out


def differing_documents(client: Client, folder: Path, entry: Entry, stop: Stop) -> list[str]:
    """One line for each difference, at most NAMED; none when cluster and backup are alike.

    Every document is read back. Only where the sums differ is it worked out which ones do: that
    takes memory for one hash a document.
    """
    digest = Digest()
    for document in _there(client, entry, stop):
        digest.add(document)
    if (digest.documents, digest.hex) == (entry.documents, entry.digest):
        return []
    file = documents_file(folder, entry)
    wanted = Counter(_hash(document) for document in read(file))
    more = []
    for document in _there(client, entry, stop):
        if wanted[_hash(document)] > 0:
            wanted[_hash(document)] -= 1
        else:
            more.append(_id(document))
    missing = []
    for document in read(file):
        if wanted[_hash(document)] > 0:
            wanted[_hash(document)] -= 1
            missing.append(_id(document))
    return list(_named(entry, missing, more))[:NAMED]


def _named(entry: Entry, missing: list[str], more: list[str]) -> Iterator[str]:
    both = set(missing) & set(more)
    for name in missing:
        what = "differs" if name in both else "is missing"
        yield f"{entry.namespace}: the document with _id {name} {what}"
    for name in more:
        if name not in both:
            yield f"{entry.namespace}: the document with _id {name} is not in the backup"


def _there(client: Client, entry: Entry, stop: Stop) -> Iterator[bytes]:
    batches = client[entry.database][entry.name].find_raw_batches({}, batch_size=10_000)
    with batches:
        for batch in batches:
            stop()
            yield from split(cast("bytes", batch))


def _hash(document: bytes) -> bytes:
    return hashlib.sha256(document).digest()


def _id(document: bytes) -> str:
    return repr(RawBSONDocument(document).get("_id"))


def differing_descriptions(wanted: list[Entry], found: list[Entry]) -> list[str]:
    """One line for each collection whose options, indexes or shard key are not as in the backup."""
    there = {entry.namespace: entry for entry in found}
    lines = []
    for entry in wanted:
        other = there.pop(entry.namespace, None)
        if other is None:
            lines.append(f"{entry.namespace} is missing")
            continue
        lines += [
            f"{entry.namespace}: {what} differ: {theirs} in the backup, {ours} here"
            for what, theirs, ours in _aspects(entry, other)
            if _exact(theirs) != _exact(ours)
        ]
    return lines + [f"{namespace} is not in the backup" for namespace in there]


def _aspects(entry: Entry, other: Entry) -> Iterator[tuple[str, Any, Any]]:
    yield "kinds", entry.kind, other.kind
    yield "options", entry.options, other.options
    yield "indexes", _by_name(entry), _by_name(other)
    keys = [e.sharding and {k: e.sharding[k] for k in ("key", "unique")} for e in (entry, other)]
    yield "shard keys", keys[0], keys[1]


def _by_name(entry: Entry) -> dict[str, Any]:
    """Indexes by name, fields by name; but the order of a key's fields is its meaning."""
    return {
        index["name"]: {k: index[k] for k in sorted(index) if k != "ns"}
        for index in sorted(entry.indexes, key=lambda index: str(index["name"]))
    }


def _exact(value: Any) -> bytes:
    return bson.encode({"": value})

"""What a backup consists of: mongodump's layout, and one file of our own beside it.

DIR/<database>/<collection>.bson            the documents, one after the other
DIR/<database>/<collection>.metadata.json   options, indexes, uuid (extended JSON v2)
DIR/cluster.json                            what mongodump does not know: see README.md
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bson import Timestamp, json_util

from cluster.backup.documents import DamageError, Digest, digest_of, unreadable
from cluster.backup.folder import create

MANIFEST = "cluster.json"
FORMAT = 2
CANONICAL = json_util.CANONICAL_JSON_OPTIONS
RELAXED = json_util.RELAXED_JSON_OPTIONS


@dataclass
class Entry:
    """One collection or view: what mongodump keeps of it, how it is sharded, what it holds.

    `sharding` is None or {key, unique, hashed, zones: [{zone, min, max}]}. `documents`, `size` in
    bytes and `digest` say what its file holds. `version` is of the cluster, not of the backup: it
    changes when the collection is sharded otherwise, or its database gets another primary shard.
    """

    database: str
    name: str
    kind: str = "collection"
    options: dict[str, Any] = field(default_factory=dict)
    indexes: list[dict[str, Any]] = field(default_factory=list)
    uuid: str = ""
    sharding: dict[str, Any] | None = None
    documents: int = 0
    size: int = 0
    digest: str = ""
    version: dict[str, Any] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """database.collection"""
        return f"{self.database}.{self.name}"

    @property
    def is_capped(self) -> bool:
        """Whether its order matters, and old documents make room for new ones."""
        return bool(self.options.get("capped"))

    @property
    def has_documents(self) -> bool:
        """Whether it has a file of its own: a view has none."""
        return self.kind == "collection"

    def hold(self, digest: Digest) -> None:
        """Notes what its file holds."""
        self.documents, self.size, self.digest = digest.documents, digest.size, digest.hex


@dataclass
class Contents:
    """All that a backup says of a cluster. `primaries` is by database, `zones` by shard.

    `moment` is the cluster time whose documents it holds; `taken` is the same for people.
    """

    moment: Timestamp
    server: str
    primaries: dict[str, str]
    zones: dict[str, list[str]]
    entries: list[Entry]

    @property
    def taken(self) -> str:
        """ISO 8601, in UTC, to the second."""
        return self.moment.as_datetime().isoformat()


# ---- where things are --------------------------------------------------------------------------


def documents_file(folder: Path, entry: Entry) -> Path:
    """The collection's documents."""
    return folder / entry.database / f"{_file_name(entry.name)}.bson"


def metadata_file(folder: Path, entry: Entry) -> Path:
    """The collection's options and indexes."""
    return folder / entry.database / f"{_file_name(entry.name)}.metadata.json"


def _file_name(collection: str) -> str:
    """As mongodump escapes it: whatever a path may not hold, as in an address."""
    escaped = quote(collection, safe="$&+=@,;-_.~!*'()")
    if len(escaped) > 208:  # mongodump's own limit, beyond which it puts a hash at the end
        hashed = hashlib.sha1(collection.encode(), usedforsecurity=False).digest()
        return escaped[:208] + "%24" + base64.urlsafe_b64encode(hashed).decode()
    return escaped


# ---- writing -----------------------------------------------------------------------------------


def _write(path: Path, text: str) -> None:
    with os.fdopen(create(path), "w", encoding="utf-8") as file:
        file.write(text)


def write_metadata(folder: Path, entry: Entry) -> None:
    """Writes the collection's .metadata.json as mongodump does."""
    values = {
        "options": entry.options,
        "indexes": entry.indexes,
        "uuid": entry.uuid,
        "collectionName": entry.name,
        "type": entry.kind,
    }
    _write(metadata_file(folder, entry), json_util.dumps(values, json_options=CANONICAL) + "\n")


def write_manifest(folder: Path, contents: Contents) -> None:
    """Writes cluster.json, once everything else is written."""
    values = {
        "format": FORMAT,
        "taken": contents.taken,
        "moment": contents.moment,
        "server": contents.server,
        "primaries": contents.primaries,
        "zones": contents.zones,
        "collections": [
            {
                "database": entry.database,
                "collection": entry.name,
                "type": entry.kind,
                "sharding": entry.sharding,
                "documents": entry.documents,
                "bytes": entry.size,
                "digest": entry.digest,
                "metadata": _hash(metadata_file(folder, entry)),
            }
            for entry in contents.entries
        ],
    }
    text = json_util.dumps(values, json_options=RELAXED)
    values["check"] = hashlib.sha256(text.encode()).hexdigest()
    _write(folder / MANIFEST, json_util.dumps(values, json_options=RELAXED, indent=2) + "\n")


# ---- reading -----------------------------------------------------------------------------------


def open_backup(folder: Path) -> Contents:
    """What a backup holds, every byte of it checked.

    Raises DamageError: there is none, a file is missing, or one is not as it was written.
    """
    manifest = folder / MANIFEST
    try:
        values = json_util.loads(manifest.read_bytes(), json_options=RELAXED)
        check = values.pop("check")
    except OSError as error:
        raise DamageError(
            f"{manifest} cannot be read ({error.strerror}). Name the folder of a backup."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(manifest) from None
    text = json_util.dumps(values, json_options=RELAXED)
    if check != hashlib.sha256(text.encode()).hexdigest() or values["format"] != FORMAT:
        raise _damaged(manifest)
    return Contents(
        values["moment"],
        values["server"],
        values["primaries"],
        values["zones"],
        [_entry(folder, listed) for listed in values["collections"]],
    )


def _entry(folder: Path, listed: dict[str, Any]) -> Entry:
    entry = Entry(
        listed["database"],
        listed["collection"],
        listed["type"],
        sharding=listed["sharding"],
        documents=listed["documents"],
        size=listed["bytes"],
        digest=listed["digest"],
    )
    metadata = metadata_file(folder, entry)
    if _hash(metadata) != listed["metadata"]:
        raise _damaged(metadata)
    values = _plain_json(metadata.read_text(encoding="utf-8"))
    entry.options, entry.indexes = values["options"], values["indexes"]
    if entry.has_documents:
        found = digest_of(documents_file(folder, entry))
        if (found.documents, found.hex) != (entry.documents, entry.digest):
            raise _damaged(documents_file(folder, entry))
    return entry


def _plain_json(text: str) -> Any:
    """Extended JSON v2, in which `$regex` is an operator of a query and no regular expression."""

    def hook(pairs: list[tuple[str, Any]]) -> Any:
        document = dict(pairs)
        return document if "$regex" in document else json_util.object_hook(document, CANONICAL)

    return json.loads(text, object_pairs_hook=hook)


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise unreadable(path, error) from None


def _damaged(path: Path) -> DamageError:
    return DamageError(f"{path} is not as it was written. Take another backup.")

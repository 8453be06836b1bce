"""What a backup consists of: mongodump's layout, and one file of our own beside it.

DIR/<database>/<collection>.bson            the documents, one after the other
DIR/<database>/<collection>.metadata.json   options, indexes, uuid (extended JSON v2)
DIR/cluster.json                            what mongodump does not know: see README.md

The folder gets its name once it is whole; until then it is `.NAME.partial` beside its place.
Folders are 0700, files 0600: they hold the users' data.

The digest of a collection is the sum of its documents' SHA-256 values modulo 2**256. It says
whether two collections hold the same documents, byte for byte and equally often, whatever order
they are read in: shards answer in none, and in a sharded collection an `_id` may occur twice. It
takes no memory, and no sorting. (The idea is Bellare and Micciancio's AdHash, EUROCRYPT 1997.)
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bson import Timestamp, json_util

from cluster.errors import ClusterError

LONGEST = 48_000_000  # bytes; a document has at most 16 MiB and a little
MODULUS = 1 << 256


class DamageError(ClusterError):
    """A backup is not whole; the text names the file."""


class Digest:
    """What one collection holds so far: `documents`, `size` in bytes, and `hex`."""

    def __init__(self) -> None:
        self.documents = 0
        self.size = 0
        self._sum = 0

    def add(self, document: bytes) -> None:
        """Takes one document in."""
        self.documents += 1
        self.size += len(document)
        self._sum += int.from_bytes(hashlib.sha256(document).digest(), "big")

    @property
    def hex(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._sum % MODULUS:064x}"


def split(batch: bytes) -> Iterator[bytes]:
    """The documents that stand one after the other in a server's batch."""
    start = 0
    while start < len(batch):
        stop = start + int.from_bytes(batch[start : start + 4], "little")
        yield batch[start:stop]
        start = stop


def read(path: Path) -> Iterator[bytes]:
    """The documents of a .bson file. Raises DamageError where it is cut off or no BSON."""
    try:
        with path.open("rb") as file:
            while head := file.read(4):
                length = int.from_bytes(head, "little")
                document = head + file.read(max(0, min(length, LONGEST) - 4))
                if len(document) != length or length < 5 or document[-1] != 0:
                    at = file.tell() - len(document)
                    raise DamageError(f"{path} is damaged from byte {at} on. Take another backup.")
                yield document
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> DamageError:
    """The error for a file that is missing, or that nobody may read."""
    return DamageError(f"{path} cannot be read ({error.strerror}). Take another backup.")


def digest_of(path: Path) -> Digest:
    """The digest of a .bson file; raises DamageError."""
    digest = Digest()
    for document in read(path):
        digest.add(document)
    return digest


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
class Manifest:
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


def write_manifest(folder: Path, contents: Manifest) -> None:
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


def open_backup(folder: Path) -> Manifest:
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
    return Manifest(
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


HOST_FOLDER = "SHARDSTACK_BACKUP"
MOUNT = Path("/backup")
"""Where a container has the folder of the host that SHARDSTACK_BACKUP names."""


@contextlib.contextmanager
def new_backup(place: Path) -> Iterator[Path]:
    """A folder to write a backup into; it gets its name when the block ends well.

    Otherwise it is deleted, and so is one that a killed dump left. Raises ClusterError when there
    is something at the place already, or another dump writes there.
    """
    place = place.absolute()
    if place.exists():
        raise ClusterError(f"{place} exists already. Name a new folder.")
    partial = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(partial):
            try:
                yield partial
                _to_disk(partial)
                partial.rename(place)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        _sync(place.parent)
    except BrokenPipeError:
        raise  # nobody reads what this says
    except OSError as error:
        raise ClusterError(_explained(error, place)) from None


def _explained(error: OSError, place: Path) -> str:
    """What happened to which file, and what to do about it."""
    path = Path(error.filename or place)
    if error.errno in (errno.EACCES, errno.EPERM):
        folder = next(parent for parent in path.parents if parent.is_dir())
        advice = f"Give the folder to the user who writes: {_chown(folder)}; or name another folder"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "Make room, or name another folder"
    else:
        advice = "Name another folder"
    return f"{path}: {error.strerror}. {advice}."


def _chown(folder: Path) -> str:
    """The command that gives a folder to this process's user.

    A folder that is mounted into a container has another name outside, where the command is to be
    run: SHARDSTACK_BACKUP tells that of /backup.
    """
    outside = os.environ.get(HOST_FOLDER, "")
    mounted = folder == MOUNT and "/" in outside  # without a slash, it is the name of a volume
    return f"sudo chown {os.geteuid()} {outside if mounted else folder}"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError(f"another dump writes to {folder}. Name a new folder.") from None
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
    finally:
        os.close(handle)


def create(path: Path) -> int:
    """Opens a new file, 0600, its folder made, for writing."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _to_disk(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

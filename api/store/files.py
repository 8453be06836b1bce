"""Files in GridFS, each owned by one document: written and read as streams, never lost track of.

The documents are those of the GridFS specification, so its tools can read them; they are written
here, not by PyMongo's GridFSBucket. That one holds up to 32 MB of a file in memory before it sends
it, gives the upload up at the first error that `attempt` would have waited out, and writes the
description of the file last, so that nobody can tell what a crash left behind.

    fs.files   {_id, length, chunkSize, uploadDate, filename, contentType, metadata: {sha256},
                owner: {collection, field, id}, unsettled: <date>, doomed: true}
                                             sharded on hashed _id
    fs.chunks  {_id, files_id, n, data}          sharded and unique on {files_id, n}

File ids are random, not rising with time: new files fall on all chunks of the key's range alike.
(files_id, n) is unique, so a chunk that is sent twice is stored once: every insert is repeatable.

As in claims.py one document decides: **a file counts if and only if its owner's document names
it** in the field `owner.field`. The mark `unsettled` stands on every file whose owner may not
exist, and is never missing from one:

* create: the description, marked, with no owner and no `length`; the chunks; then in one update
  `length`, digest, the owner with an `_id` chosen ahead, and the mark anew; then the owner's
  document, which is the commit; then the mark is removed.
* delete: the mark; the owner's document, which is the commit; the chunks; the description.

So a crash at any step leaves either a file that counts or one that is marked. The sweep
looks at marks older than a grace time, and reads the owner with read concern majority:

    no owner is named yet             doomed, if the mark is still the one seen: the update that
                                      names an owner takes no doomed file. The file is removed.
    the owner names the file          it counts; the mark is removed, if it is still the one seen.
    the owner is absent               fenced: the tombstone `{_id: owner, tombstone: <date>}` takes
                                      its place, so that a slow writer's insert is a duplicate key.
                                      If the writer was quicker, the tombstone is; look again later.
    a tombstone, or another document  it can never name the file: `_id` is taken, and the field of a
                                      living document does not change. The file is removed.

The grace time decides only who is disturbed, never who is right: who uploads for longer than that
is told to begin anew, and no document ever names a file that was swept. Removal begins with the
chunks and ends with the description, so one that is interrupted is found again. Only the chunks
that a process writes after its file was swept, and dies before it notices, and a file whose
deleter stood still for longer than the grace time and then died, stay for good: nothing names
them, and they cost space alone.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self

from bson import Binary, ObjectId
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from api.store.claims import MAJORITY
from api.store.client import Store
from api.store.deadline import Turns, attempt, deadline
from api.store.document import Document, now
from api.store.errors import DuplicateError, OvertakenError, StoreError, UnavailableError

FILES = "fs.files"
CHUNKS = "fs.chunks"
CHUNK_KEY: Mapping[str, str | int] = {"files_id": 1, "n": 1}
CHUNK_SIZE = 255 * 1024  # of the specification: with its keys a chunk stays within 256 KiB
MARK = "unsettled"
DOOMED = "doomed"


class Owner(NamedTuple):
    """The document that names, or will name, a file in `field`; sharded by hashed _id."""

    collection: str
    field: str
    id: ObjectId


class StoredFile(NamedTuple):
    """A whole file."""

    id: ObjectId
    size: int
    digest: str  # SHA-256, in hex


class DamagedError(StoreError):
    """A chunk is missing or of the wrong size: deleted meanwhile, or damaged."""


class Upload:
    """A file on its way in. As a context, it leaves nothing behind that nobody owns.

    A failure after `assign` leaves the file to the sweep, unless it says that there is no owner.
    """

    def __init__(self, files: "Files", name: str, media: str) -> None:
        self.id = ObjectId(secrets.token_bytes(12))
        self.name = name
        self._files = files
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._size = 0
        self._count = 0
        self._assigned = False
        files.begin(self.id, name, media)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if isinstance(error, UnavailableError) and not isinstance(error, OvertakenError):
            return  # nor could it be removed now, and its sender waits: the sweep finds it
        if not self._assigned or isinstance(error, DuplicateError | OvertakenError):
            self._files.discard(self.id)
        elif error is None:
            self._files.settle(self.id)

    def write(self, data: bytes) -> None:
        """Take the next bytes; whole chunks go to the database immediately."""
        self._digest.update(data)
        self._size += len(data)
        self._buffer += data
        while len(self._buffer) >= CHUNK_SIZE:
            self._flush()

    def finish(self) -> StoredFile:
        """Write what is left. The file is whole, and still nobody's."""
        if self._buffer:
            self._flush()
        return StoredFile(self.id, self._size, self._digest.hexdigest())

    def assign(self, owner: Owner) -> None:
        """Complete the description. The owner's document must be written next, or never."""
        self._files.describe(self.finish(), owner)
        self._assigned = True

    def _flush(self) -> None:
        self._files.put(self.id, self._count, bytes(self._buffer[:CHUNK_SIZE]))
        del self._buffer[:CHUNK_SIZE]
        self._count += 1


class Files:
    """The files of a store. Every step is bounded by the store's usual deadline for a request."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._step = store.options.deadline

    def upload(self, name: str, media: str) -> Upload:
        """A new file. Use it as a context."""
        return Upload(self, name, media)

    def read(self, file_id: ObjectId, size: int) -> Iterator[bytes]:
        """The file, chunk by chunk. Raises `DamagedError` where it is not of `size` bytes."""
        chunks = self._store.collection(CHUNKS)
        for n, start in enumerate(range(0, size, CHUNK_SIZE)):
            key = {"files_id": file_id, "n": n}
            with deadline(self._step):
                found = attempt(
                    lambda key=key: chunks.find_one(key, {"data": 1}),  # type: ignore[misc]
                    idempotent=True,
                )
            if found is None or len(found["data"]) != min(CHUNK_SIZE, size - start):
                raise DamagedError(f"chunk {n} of file {file_id} is missing or incomplete")
            yield found["data"]

    def settle(self, file_id: ObjectId) -> None:
        """Its owner's document names it: remove the mark. A failure is made good by the sweep."""
        with suppress(UnavailableError):
            self.update({"_id": file_id}, {"$unset": {MARK: ""}})

    def mark(self, file_id: ObjectId) -> None:
        """Its owner's document is about to be deleted."""
        self.update({"_id": file_id}, {"$set": {MARK: datetime.now(UTC)}})

    def discard(self, file_id: ObjectId) -> None:
        """Remove a marked file that nothing can name. A failure is made good by the sweep."""
        with suppress(UnavailableError):
            self.remove(file_id)

    def remove(self, file_id: ObjectId) -> None:
        """Remove the chunks, then the description."""
        chunks, files = self._store.collection(CHUNKS), self._store.collection(FILES)
        with deadline(self._step):
            attempt(lambda: chunks.delete_many({"files_id": file_id}), idempotent=True)
            attempt(lambda: files.delete_one({"_id": file_id}), idempotent=True)

    # What an upload does.

    def begin(self, file_id: ObjectId, name: str, media: str) -> None:
        """Write the description of a file that is not yet whole."""
        description: Document = {
            "_id": file_id,
            "chunkSize": CHUNK_SIZE,
            "uploadDate": now(),
            "filename": name,
            "contentType": media,
            MARK: datetime.now(UTC),
        }
        with deadline(self._step), suppress(DuplicateKeyError):  # the id is ours: sent twice
            files = self._store.collection(FILES)
            attempt(lambda: files.insert_one(description), idempotent=True)

    def put(self, file_id: ObjectId, n: int, data: bytes) -> None:
        """Write one chunk. It is there once, and a majority has it, when this returns."""
        chunks = self._store.collection(CHUNKS)
        key = {"files_id": file_id, "n": n}
        chunk = {"_id": ObjectId(), **key, "data": Binary(data)}
        with deadline(self._step):
            try:
                attempt(lambda: chunks.insert_one(chunk), idempotent=True)
            except DuplicateKeyError:  # our own, applied although its answer was lost
                _await_majority(chunks, key)

    def describe(self, made: StoredFile, owner: Owner) -> None:
        """Complete the description. Raises `OvertakenError` when the file was swept meanwhile."""
        whole = {
            "length": made.size,
            "metadata": {"sha256": made.digest},
            "owner": owner._asdict(),
            MARK: datetime.now(UTC),
        }
        if not self.update({"_id": made.id, DOOMED: {"$exists": False}}, {"$set": whole}):
            raise OvertakenError("the upload took so long that its file was swept")

    def update(self, condition: Document, change: Document) -> bool:
        """Change one description; whether there was one."""
        files = self._store.collection(FILES)
        with deadline(self._step):
            done = attempt(lambda: files.update_one(condition, change), idempotent=True)
        return bool(done.matched_count)


def _await_majority(chunks: Collection[Document], key: Document) -> None:
    majority = chunks.with_options(read_concern=MAJORITY)
    turns = Turns("no majority for a chunk of the file in time")
    while attempt(lambda: majority.find_one(key, {"n": 1}), idempotent=True) is None:
        turns.next()


def sweep(store: Store, grace: float, limit: int = 0) -> int:
    """Settle or remove what was marked more than `grace` seconds ago; how many were removed.

    At most `limit` files are looked at; 0: all.
    """
    marked = store.collection(FILES).with_options(read_concern=MAJORITY)
    old = {MARK: {"$lt": datetime.now(UTC) - timedelta(seconds=grace)}}
    shown = {"owner": 1, MARK: 1}
    with deadline(store.options.deadline):
        found = attempt(lambda: list(marked.find(old, shown, limit=limit)), idempotent=True)
    return sum(_judge(store, file) for file in found)


def _judge(store: Store, file: Document) -> bool:
    """Whether the file was removed."""
    files = Files(store)
    seen = {"_id": file["_id"], MARK: file[MARK]}
    with deadline(store.options.deadline):
        if "owner" not in file:
            doomed = files.update(seen, {"$set": {DOOMED: True, MARK: datetime.now(UTC)}})
        else:
            owner = Owner(**file["owner"])
            documents = store.collection(owner.collection)
            named = _named(documents, owner, file)
            if named:
                files.update(seen, {"$unset": {MARK: ""}})
            doomed = named is False or (named is None and _fence(documents, owner))
        if doomed:
            files.remove(file["_id"])
    return doomed


def _named(documents: Collection[Document], owner: Owner, file: Document) -> bool | None:
    """Whether what stands in the owner's place names the file; None: nothing stands there."""
    majority = documents.with_options(read_concern=MAJORITY)
    found = attempt(lambda: majority.find_one({"_id": owner.id}, {owner.field: 1}), idempotent=True)
    return None if found is None else found.get(owner.field) == file["_id"]


def _fence(documents: Collection[Document], owner: Owner) -> bool:
    """Take the place of an owner that is not there. False: something is there by now."""
    tombstone = {"_id": owner.id, "tombstone": datetime.now(UTC)}
    try:
        attempt(lambda: documents.insert_one(tombstone), idempotent=True)
    except DuplicateKeyError:
        return False
    return True

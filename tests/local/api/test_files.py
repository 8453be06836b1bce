"""Files in GridFS on the shards: whole or not at all, never lost track of, swept when orphaned."""

import hashlib
import secrets
from typing import Any

import pytest
from bson import ObjectId
from gridfs import GridFSBucket

from api.store import Documents, DuplicateError, Store, UnavailableError
from api.store.deadline import deadline
from api.store.errors import OvertakenError
from api.store.files import (
    CHUNK_SIZE,
    CHUNKS,
    FILES,
    DamagedError,
    Files,
    Owner,
    StoredFile,
    Upload,
    sweep,
)

FIELD = "resume_file"
PIECE = 64 * 1024


@pytest.fixture
def files(store: Store) -> Files:
    return Files(store)


@pytest.fixture
def owner(users: Documents) -> Owner:
    """One that does not exist yet."""
    return Owner(users.name, FIELD, ObjectId())


def upload(files: Files, owner: Owner, data: bytes) -> StoredFile:
    """A file whose owner was named, and did not come to be so far."""
    with pytest.raises(OSError, match="gone"), files.upload("cv.pdf", "application/pdf") as taking:
        raise OSError(write(taking, owner, data))
    return taking.finish()


def write(taking: Upload, owner: Owner, data: bytes) -> str:
    for start in range(0, len(data), PIECE):
        taking.write(data[start : start + PIECE])
    taking.assign(owner)
    return "gone"


def left(store: Store, file_id: ObjectId) -> tuple[int, int]:
    """How many descriptions and chunks of a file there are."""
    return (
        store.collection(FILES).count_documents({"_id": file_id}),
        store.collection(CHUNKS).count_documents({"files_id": file_id}),
    )


def bear(users: Documents, owner: Owner, file: StoredFile) -> None:
    """The owner's document, naming the file."""
    mark = secrets.token_hex(8)
    users.collection.insert_one({"_id": owner.id, "version": 1, "name": mark, FIELD: file.id})


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 10 * 1024**2])
def test_round_trip(files: Files, store: Store, owner: Owner, size: int) -> None:
    data = secrets.token_bytes(size)
    made = upload(files, owner, data)
    assert made == (made.id, size, hashlib.sha256(data).hexdigest())
    assert b"".join(files.read(made.id, size)) == data
    assert left(store, made.id) == (1, -(-size // CHUNK_SIZE))
    # GridFS's own tools read it too.
    assert GridFSBucket(store.database).open_download_stream(made.id).read() == data
    files.remove(made.id)
    assert left(store, made.id) == (0, 0)


def test_many_files_lie_on_many_chunk_ranges(files: Files, owner: Owner) -> None:
    first = {str(upload(files, owner, b"x").id)[0] for _ in range(12)}
    assert len(first) > 2


def test_an_aborted_upload_leaves_nothing(files: Files, store: Store) -> None:
    taking = files.upload("x", "y/z")

    def send() -> None:
        with taking:
            taking.write(secrets.token_bytes(2 * CHUNK_SIZE))
            assert left(store, taking.id) == (1, 2)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        send()
    assert left(store, taking.id) == (0, 0)


def test_a_chunk_sent_twice_is_stored_once(files: Files, store: Store, owner: Owner) -> None:
    made = upload(files, owner, b"abc")
    files.put(made.id, 0, b"abc")
    assert left(store, made.id) == (1, 1)


def test_a_short_file_is_not_passed_off_as_whole(files: Files, store: Store, owner: Owner) -> None:
    data = secrets.token_bytes(2 * CHUNK_SIZE)
    made = upload(files, owner, data)
    store.collection(CHUNKS).delete_one({"files_id": made.id, "n": 1})
    reading = files.read(made.id, made.size)
    assert next(reading) == data[:CHUNK_SIZE]
    with pytest.raises(DamagedError):
        next(reading)
    with pytest.raises(DamagedError):
        list(files.read(made.id, 5))


def test_a_file_without_an_owner_is_swept(
    files: Files, store: Store, users: Documents, owner: Owner
) -> None:
    made = upload(files, owner, b"abc")
    sweep(store, 60)
    assert left(store, made.id) == (1, 1)  # younger than the grace time
    assert sweep(store, 0) >= 1
    assert left(store, made.id) == (0, 0)
    # And the owner can no longer come to be with it.
    with pytest.raises(Exception, match="E11000"):
        bear(users, owner, made)


def test_what_becomes_of_a_file_when_its_owner_is_settled(
    files: Files, store: Store, owner: Owner
) -> None:
    found = store.collection(FILES)
    with files.upload("x", "y/z") as kept:
        kept.assign(owner)
    assert "unsettled" not in (found.find_one({"_id": kept.id}) or {"unsettled": 1})
    with pytest.raises(DuplicateError), files.upload("x", "y/z") as refused:
        raise DuplicateError(write(refused, owner, b"x"))
    assert left(store, refused.id) == (0, 0)
    # Whether there is an owner is not known: the sweep finds out.
    with pytest.raises(UnavailableError), files.upload("x", "y/z") as unknown:
        raise UnavailableError(write(unknown, owner, b"x"))
    assert "unsettled" in (found.find_one({"_id": unknown.id}) or {})


def test_a_file_with_its_owner_stays(
    files: Files, store: Store, users: Documents, owner: Owner
) -> None:
    made = upload(files, owner, b"abc")
    bear(users, owner, made)
    sweep(store, 0)
    assert left(store, made.id) == (1, 1)
    found = store.collection(FILES).find_one({"_id": made.id})
    assert found is not None
    assert "unsettled" not in found


def test_a_file_that_its_owner_does_not_name_is_swept(
    files: Files, store: Store, users: Documents, owner: Owner
) -> None:
    first, second = upload(files, owner, b"abc"), upload(files, owner, b"def")
    bear(users, owner, second)
    sweep(store, 0)
    assert (left(store, first.id), left(store, second.id)) == ((0, 0), (1, 1))


def test_an_owner_born_under_the_sweep_keeps_its_file(
    seam: Any, files: Files, store: Store, users: Documents, owner: Owner
) -> None:
    """Between the look at the owner and the fence."""
    made = upload(files, owner, b"abc")

    def before(name: str, collection: str, command: dict[str, Any]) -> None:
        mine = collection == users.name and name == "insert"
        if mine and command["documents"][0]["_id"] == owner.id and "tombstone" in str(command):
            bear(users, owner, made)

    with seam.hooked(before=before):
        sweep(store, 0)
    assert left(store, made.id) == (1, 1)
    sweep(store, 0)
    assert left(store, made.id) == (1, 1)


def test_a_mark_set_under_the_sweep_stays(
    seam: Any, files: Files, store: Store, users: Documents, owner: Owner
) -> None:
    """A deletion begins between the look at the owner and the removal of the mark."""
    made = upload(files, owner, b"abc")
    bear(users, owner, made)

    def before(name: str, collection: str, command: dict[str, Any]) -> None:
        if name == "update" and collection == FILES and "$unset" in command["updates"][0]["u"]:
            store.collection(FILES).update_one({"_id": made.id}, {"$set": {"unsettled": None}})

    with seam.hooked(before=before):
        sweep(store, 0)
    found = store.collection(FILES).find_one({"_id": made.id})
    assert found is not None
    assert "unsettled" in found


def test_who_is_swept_while_uploading_learns_it(files: Files, store: Store, owner: Owner) -> None:
    taking = files.upload("x", "y/z")

    def send() -> None:
        with taking:
            taking.write(secrets.token_bytes(CHUNK_SIZE))
            sweep(store, 0)
            taking.write(secrets.token_bytes(CHUNK_SIZE))
            taking.assign(owner)

    with pytest.raises(OvertakenError):
        send()
    assert left(store, taking.id) == (0, 0)


def test_a_deadline_bounds_each_step(files: Files, owner: Owner) -> None:
    with pytest.raises(UnavailableError), deadline(0.0001):
        upload(files, owner, b"abc")

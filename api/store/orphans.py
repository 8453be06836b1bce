"""The sweep: settles or removes files whose owner may not exist. The law is in files.py."""

from datetime import UTC, datetime, timedelta

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from api.store.claims import MAJORITY
from api.store.client import Store
from api.store.deadline import attempt, deadline
from api.store.files import DOOMED, FILES, MARK, Files, Owner
from api.store.shape import Document


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

"""What happens when a request comes twice: receipts of writes, and records of idempotency keys.

A consumer that got no answer cannot know whether its request took effect, so it, or a proxy, sends
the request again. A write leaves a *receipt* in what it writes, by which its repetition finds it.
A receipt is part of the write itself, and so it is there if and only if the write took effect.
There are two kinds:

* of a request that a trusted proxy has named (crud/replay.py): an integer in `marks`, of which the
  last ones stay. It only has to last for as long as a proxy tries.
* of a request with an Idempotency-Key: `{key, effect}` in `keyed`, the `_id` of the key's record
  and the one try that the record names. It lasts until the record is "done": whoever finds many of
  them in a document finishes their records, and removes them after that.

A *void* receipt, `{key, effect, void: true}`, is the fence of such a try: a write with this effect
can never be made. It goes when the key itself has gone.

Idempotency keys. With a key of its choice a consumer may send a request again: the first request
with the key creates, changes or deletes, and all others get what it left. The key's record, sharded
by hashed `_id`,

    {_id: <hash of who, which address, the key>, fingerprint: <of the body>, effect: <ObjectId>,
     state: "begun" | "done", at: <date>, expires: <date>, by: <name of the request, if it has one>}

is written with w:majority before anything else. `effect` names this one try, and is part of what it
writes: the `_id` of the document that it creates, or a receipt in the document that it changes or
deletes. As with claims (claims.py) the document decides, not the record: **the request took effect
if and only if its `effect` was written.** "done" saves the look, and outlasts the document and its
receipts.

* first: insert the record; create, change or delete with the record's `effect`; mark it "done".
* again, and the fingerprint differs: refused (KeyReusedError), the key stands for another request.
* again, "done": the answer is the document.
* again, "begun", younger than the lease: the first is at work (KeyBusyError). The lease is longer
  than a request may take, so whoever lives has answered before it runs out.
* again, "begun", older: its worker died, or is too slow. *Fence* it: insert a tombstone under
  `effect`, or, for a change, push a void receipt into the document, on condition that `effect` is
  not there. If it is there: then mark "done"; the document is the answer. Else the fence stands,
  and the slow writer's insert (a duplicate key) or change (its condition) must fail, however late
  it comes. Then one conditional update of the record (on its `effect`) names a new one, and whoever
  made that update begins as the first did.
* again, "begun", and the trusted proxy's name of the request (web/proxies.py) is the one in `by`:
  fence immediately. The lease protects only a first worker that somebody waits for from being
  fenced for nothing; here its proxy has given it up, and nobody will see its answer.
* the request is refused (a value is taken, a condition is not met): the record is removed, on
  condition of its `effect`, so that the key may be used for a corrected request.

Why a new `effect`, and not the old one again: an insert under one `_id` must be sent by one worker
only, once. If a second worker finished the work of a slow first one under the same `_id`, and the
document were then deleted, the first one's insert would find the place empty: the document would
be back, and without claims on its unique values, since deletion removed these. With the fence, no
two workers ever write the same effect. The claims that a dead worker left are DEAD by the
tombstone, so that the repetition can take them over immediately.

A document's receipts do not pile up: whoever finds many in what it has changed *settles* them. It
marks their records "done", and removes them after that. So no number of other changes makes a
document forget a request whose record is still "begun".

Crashes, step by step. Before the record: nothing happened. Between record and document: after the
lease, a repetition fences and begins anew; without one, the record goes when it expires, and what
claims there are fall to the next who wants them. Between document and "done": a repetition finds
the effect by the fence. Two repetitions at the same time: both may fence (the fence is one), and
one of them wins the update; the other sees a young record, and is told that it is busy. While
receipts are settled: they stay for the next who finds many.

Clocks decide only when the fence is put up, never whether a request takes effect twice. Records
expire after the lifetime of keys; from then on the same key is a new one.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from api.store.claims import MAJORITY
from api.store.client import Store
from api.store.deadline import Turns, attempt
from api.store.document import ANY, LIVE, Document, now
from api.store.errors import KeyBusyError, KeyReusedError, UnavailableError

COLLECTION = "idempotency"
BEGUN, DONE = "begun", "done"  # states of a key's record
MARKS, KEYED, VOID, DELETED = "marks", "keyed", "void", "deleted"
KEPT = 64  # of a document, 12 bytes each: others may change it five times a second, while a proxy
# takes twelve seconds to notice that a silent replica is gone
MOST_KEYED = 16  # that a document holds, some 100 bytes each, until they are settled
DELETED_KEPT = 3600  # seconds that the tombstone of a deletion stays


class Keyed(NamedTuple):
    """The receipt of a request with an Idempotency-Key: its record's `_id`, and this try at it."""

    key: str
    effect: ObjectId


Receipt = int | Keyed | None


def push(receipt: Receipt) -> Document:
    """The part of an update that leaves the receipt."""
    if receipt is None:
        return {}
    if isinstance(receipt, Keyed):
        return {"$push": {KEYED: receipt._asdict()}}
    return {"$push": {MARKS: {"$each": [receipt], "$slice": -KEPT}}}


def unwritten(receipt: Receipt) -> Document:
    """The condition of a write with this receipt: it was not made, and nobody has fenced it."""
    return {f"{KEYED}.effect": {"$ne": receipt.effect}} if isinstance(receipt, Keyed) else {}


def delete(
    collection: Collection[Document], condition: Document, receipt: Receipt
) -> Document | None:
    """Delete the document of this condition, and return it. With a receipt, a tombstone stays."""
    if receipt is None:
        return collection.find_one_and_delete(condition)
    kept = [name for name in condition if name[0] != "$" and name != "version"]  # the shard key
    stone: Document = {name: f"${name}" for name in kept}
    left = {KEYED: [receipt._asdict()]} if isinstance(receipt, Keyed) else {MARKS: [receipt]}
    stone |= {DELETED: "$$NOW", **{name: {"$literal": marks} for name, marks in left.items()}}
    return collection.find_one_and_update(
        {**condition, **unwritten(receipt)}, [{"$replaceWith": stone}]
    )


def find(
    collection: Collection[Document],
    document_id: ObjectId,
    receipt: int | Keyed,
    where: Mapping[str, Any] = ANY,
) -> Document | None:
    """The document, or the tombstone in its place, that a write with this receipt has left.

    It counts once a majority has it: it may be another worker's write, and that worker dead.
    """
    query = {**_shard_key(where), "_id": document_id, **_with(receipt)}
    majority = collection.with_options(read_concern=MAJORITY)
    turns = Turns("no majority for a write in time")
    while attempt(lambda: collection.find_one(query), idempotent=True) is not None:
        found = attempt(lambda: majority.find_one(query), idempotent=True)
        if found is not None:
            return found
        turns.next()
    return None


def fence(
    collection: Collection[Document],
    document_id: ObjectId,
    receipt: Keyed,
    where: Mapping[str, Any] = ANY,
) -> bool:
    """Make it impossible to write with this receipt. False: the write was made."""
    condition = {**_shard_key(where), "_id": document_id, "version": LIVE, **unwritten(receipt)}
    void = {"$push": {KEYED: {**receipt._asdict(), VOID: True}}}
    attempt(lambda: collection.update_one(condition, void), idempotent=True)
    return find(collection, document_id, receipt, where) is None


def is_fenced(document: Mapping[str, Any], receipt: Receipt) -> bool:
    """Whether somebody has fenced the write with this receipt."""
    if not isinstance(receipt, Keyed):
        return False
    return {**receipt._asdict(), VOID: True} in document.get(KEYED, ())


def _with(receipt: int | Keyed) -> Document:
    if isinstance(receipt, Keyed):
        return {KEYED: {"$elemMatch": {"effect": receipt.effect, VOID: {"$exists": False}}}}
    return {MARKS: receipt}


def _shard_key(where: Mapping[str, Any]) -> Document:
    """Of conditions only the shard key: the write itself may have ended the others."""
    return {name: value for name, value in where.items() if isinstance(value, ObjectId)}


TookEffect = Callable[[str, ObjectId], bool]
"""Of a record's `_id` and an effect: whether it was written; if not, it is fenced for good."""


class Ticket(NamedTuple):
    """The right to make a request's one effect; or, if `done`, the one that was made."""

    key: str
    effect: ObjectId
    done: bool = False


class Taker(NamedTuple):
    """Who wants to go on with a key: the effect it would have, and its request's name."""

    mine: ObjectId
    by: str | None


class IdempotencyKeys:
    """The records of all keys. `lifetime` and `lease` in seconds."""

    def __init__(self, store: Store, lifetime: float, lease: float) -> None:
        self._store = store
        self._lifetime = timedelta(seconds=lifetime)
        self._lease = timedelta(seconds=lease)

    def begin(
        self,
        key: str,
        fingerprints: list[bytes],
        took_effect: TookEffect,
        by: str | None = None,
    ) -> Ticket:
        """A ticket for the request with this key. Raises KeyReusedError, KeyBusyError.

        `fingerprints`: the body's under each key that may have made the record's; the first is
        written. `by`: the trusted proxy's name of the request.
        """
        mine = ObjectId()
        turns = Turns("no verdict on the idempotency key in time")
        while True:
            if self._insert(key, fingerprints[0], mine, by):
                return Ticket(key, mine)
            found = self._find(key)
            if found is not None:
                if found["fingerprint"] not in fingerprints:
                    raise KeyReusedError
                ticket = self._follow(found, Taker(mine, by), took_effect)
                if ticket is not None:
                    return ticket
            turns.next()  # the record went away, or is not yet with a majority

    def finish(self, ticket: Ticket) -> None:
        """Note that it took effect. What a failure leaves out, the next look finds."""
        with suppress(UnavailableError):
            self._update(ticket, {"state": DONE})

    def forget(self, ticket: Ticket) -> None:
        """The request was refused: the key is free again."""
        condition = {"_id": ticket.key, "effect": ticket.effect, "state": BEGUN}
        records = self._store.collection(COLLECTION)
        with suppress(UnavailableError):
            attempt(lambda: records.delete_one(condition), idempotent=True)

    def release(self, ticket: Ticket) -> None:
        """Whether it took effect is not known: let a repetition look immediately."""
        with suppress(UnavailableError):
            self._update(ticket, {"at": now() - self._lease})

    def settle(
        self, documents: Collection[Document], changed: Document, shard_key: Document
    ) -> None:
        """Remove the receipts of a document that was just changed, if there are many.

        Of void ones those whose key is gone. What a failure leaves is for the next change.
        """
        receipts: list[Mapping[str, Any]] = changed.get(KEYED, [])
        if len(receipts) <= MOST_KEYED:
            return
        made = [one for one in receipts if VOID not in one]
        begun = {
            "_id": {"$in": [one["key"] for one in made]},
            "effect": {"$in": [one["effect"] for one in made]},
            "state": BEGUN,
        }
        past = ObjectId.from_datetime(now() - self._lifetime)
        old = [one["effect"] for one in receipts if VOID in one and one["effect"] < past]
        going = {"$in": [one["effect"] for one in made] + old}
        where = {**shard_key, "_id": changed["_id"]}
        removal = {"$pull": {KEYED: {"effect": going}}}
        with suppress(UnavailableError):
            done = {"$set": {"state": DONE}}
            records = self._store.collection(COLLECTION)
            attempt(lambda: records.update_many(begun, done), idempotent=True)
            attempt(lambda: documents.update_one(where, removal), idempotent=True)

    def _follow(self, found: Document, taker: Taker, took_effect: TookEffect) -> Ticket | None:
        """What a record of the same request allows. None: look again."""
        old = Ticket(found["_id"], found["effect"], done=True)
        if found["state"] == DONE:
            return old
        if old.effect == taker.mine:  # our own insert, applied although its answer was lost
            return Ticket(old.key, taker.mine)
        at: datetime = found["at"]
        given_up = taker.by is not None and found.get("by") == taker.by
        if not given_up and now() - at < self._lease:
            raise KeyBusyError
        if took_effect(old.key, old.effect):
            self.finish(old)
            return old
        if self._update(old, {"effect": taker.mine, "at": now(), "by": taker.by}):
            return Ticket(old.key, taker.mine)
        return None

    def _insert(self, key: str, fingerprint: bytes, effect: ObjectId, by: str | None) -> bool:
        moment = now()
        record = {
            "_id": key,
            "fingerprint": fingerprint,
            "effect": effect,
            "state": BEGUN,
            "at": moment,
            "expires": moment + self._lifetime,
            **({} if by is None else {"by": by}),
        }
        records = self._store.collection(COLLECTION)
        try:
            attempt(lambda: records.insert_one(record), idempotent=True)
        except DuplicateKeyError:
            return False
        return True

    def _find(self, key: str) -> Document | None:
        records = self._store.collection(COLLECTION).with_options(read_concern=MAJORITY)
        return attempt(lambda: records.find_one({"_id": key}), idempotent=True)

    def _update(self, ticket: Ticket, setting: Document) -> bool:
        """Repeated after a lost answer it may match nothing; then the next look finds our own."""
        condition = {"_id": ticket.key, "effect": ticket.effect, "state": BEGUN}
        records = self._store.collection(COLLECTION)
        result = attempt(lambda: records.update_one(condition, {"$set": setting}), idempotent=True)
        return result.modified_count == 1

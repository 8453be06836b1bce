"""Idempotency keys: a request that is sent again creates no second document.

A consumer that got no answer cannot know whether its POST took effect. With a key of its choice it
may send it again: the first request with the key creates, all others get its document. The key's
record, sharded by hashed `_id`,

    {_id: <hash of who, which route, the key>, fingerprint: <of the body>, document: <ObjectId>,
     state: "begun" | "done", at: <date>, expires: <date>, by: <name of the request, if it has one>}

is written with w:majority before anything else, with the `_id` of the document to be. As with
claims (claims.py) the document decides, not the record: **the request took effect if and only if
there is, or was, a document under the record's `document`.** "done" only saves the look, and tells
a document that was deleted since from one that never came to be.

* first: insert the record; create the document under the record's `document`; mark it "done".
* again, and the fingerprint differs: refused (KeyReusedError), the key stands for another request.
* again, "done": the answer is the document.
* again, "begun", younger than the lease: the first is at work (KeyBusyError). The lease is longer
  than a request may take, so whoever lives has answered before it runs out.
* again, "begun", older: its worker died, or is too slow. *Fence* it: insert a tombstone under
  `document`. That is a duplicate key if the document is there: then mark "done"; it is the answer.
  Else the `_id` is taken for good, and the slow writer's insert must fail, however late it comes.
  Then one conditional update of the record (on its `document`) names a new `_id`, and whoever made
  that update begins as the first did.
* again, "begun", and the trusted proxy's name of the request (web/proxied.py) is the one in `by`:
  fence at once. The lease protects only a first worker that somebody waits for from being fenced
  for nothing; here its proxy has given it up, and nobody will see its answer.
* the request is refused (a value is taken): the record is removed, on condition of its `document`,
  so that the key may be used for a corrected body.

Why a new `_id`, and not the old one again: an insert under one `_id` must be sent by one worker
only, once. If a second worker finished the work of a slow first one under the same `_id`, and the
document were then deleted, the first one's insert would find the place empty: the document would
be back, and without claims on its unique values, since deletion removed these. With the fence, no
two workers ever write under one `_id`. The claims that a dead worker left are DEAD by the
tombstone, so that the repetition can take them over at once.

Crashes, step by step. Before the record: nothing happened. Between record and document: after the
lease, a repetition fences and begins anew; without one, the record goes when it expires, and what
claims there are fall to the next who wants them. Between document and "done": a repetition finds
the document by the fence. Two repetitions at once: both may fence (the tombstone is one), and one
of them wins the update; the other sees a young record, and is told that it is busy.

Clocks decide only when the fence is put up, never whether there are two documents. Records expire
after the lifetime of keys; from then on the same key is a new one.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from api.store.claims import MAJORITY
from api.store.client import Store
from api.store.deadline import attempt, pause
from api.store.documents import Documents
from api.store.errors import KeyBusyError, KeyReusedError, UnavailableError
from api.store.shape import ANY, Document, now

COLLECTION = "idempotency"
BEGUN, DONE = "begun", "done"


class Ticket(NamedTuple):
    """The right to create a document under this `_id`; or, if `done`, the one that was created."""

    key: str
    document_id: ObjectId
    done: bool = False


class Taker(NamedTuple):
    """Who wants to go on with a key: the `_id` it would write under, and its request's name."""

    mine: ObjectId
    by: str | None


class Keys:
    """The records of all keys. `lifetime` and `lease` in seconds."""

    def __init__(self, store: Store, lifetime: float, lease: float) -> None:
        self._store = store
        self._lifetime = timedelta(seconds=lifetime)
        self._lease = timedelta(seconds=lease)

    def begin(
        self,
        key: str,
        fingerprints: list[bytes],
        documents: Documents,
        shard_key: Document,
        by: str | None = None,
    ) -> Ticket:
        """A ticket for the request with this key. Raises KeyReusedError, KeyBusyError.

        `fingerprints`: the body's under each key that may have made the record's; the first is
        written. `shard_key`: the fields of the document's shard key besides `_id`. `by`: the
        trusted proxy's name of the request.
        """
        mine = ObjectId()
        turn = 0
        while True:
            if self._insert(key, fingerprints[0], mine, by):
                return Ticket(key, mine)
            found = self._find(key)
            if found is not None:
                if found["fingerprint"] not in fingerprints:
                    raise KeyReusedError
                ticket = self._settle(found, Taker(mine, by), documents, shard_key)
                if ticket is not None:
                    return ticket
            if not pause(turn):  # the record went away, or is not yet with a majority
                raise UnavailableError("no verdict on the idempotency key in time")
            turn += 1

    def finish(self, ticket: Ticket) -> None:
        """Note that the document is there. What a failure leaves out, the next look finds."""
        with suppress(UnavailableError):
            self._update(ticket, {"state": DONE})

    def forget(self, ticket: Ticket) -> None:
        """The request was refused: the key is free again."""
        condition = {"_id": ticket.key, "document": ticket.document_id, "state": BEGUN}
        records = self._store.collection(COLLECTION)
        with suppress(UnavailableError):
            attempt(lambda: records.delete_one(condition), idempotent=True)

    def release(self, ticket: Ticket) -> None:
        """Whether the document was created is not known: let a repetition look at once."""
        with suppress(UnavailableError):
            self._update(ticket, {"at": now() - self._lease})

    def _settle(
        self, found: Document, taker: Taker, documents: Documents, shard_key: Document
    ) -> Ticket | None:
        """What a record of the same request allows. None: look again."""
        old = Ticket(found["_id"], found["document"], done=True)
        if found["state"] == DONE:
            return old
        if old.document_id == taker.mine:  # our own insert, applied although its answer was lost
            return Ticket(old.key, taker.mine)
        at: datetime = found["at"]
        given_up = taker.by is not None and found.get("by") == taker.by
        if not given_up and now() - at < self._lease:
            raise KeyBusyError
        if documents.fence(old.document_id, shard_key or ANY) is not None:
            self.finish(old)
            return old
        if self._update(old, {"document": taker.mine, "at": now(), "by": taker.by}):
            return Ticket(old.key, taker.mine)
        return None

    def _insert(self, key: str, fingerprint: bytes, document_id: ObjectId, by: str | None) -> bool:
        moment = now()
        record = {
            "_id": key,
            "fingerprint": fingerprint,
            "document": document_id,
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
        condition = {"_id": ticket.key, "document": ticket.document_id, "state": BEGUN}
        records = self._store.collection(COLLECTION)
        result = attempt(lambda: records.update_one(condition, {"$set": setting}), idempotent=True)
        return result.modified_count == 1

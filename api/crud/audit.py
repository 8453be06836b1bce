"""The audit trail: security events, and what administrators change.

An event names who did what to whom, from where, in which request, and the fields it touched. It
holds no values and no secrets: names of fields only. It is kept until `ends_at` (a TTL index),
which the setting `audit_retention` decided when the event was written.

Two kinds, and when they are written:

* `recorded`: an administrator's change. The event is acknowledged by a majority *before* the change
  begins, and marked afterwards if it came to nothing. A crash between the two leaves an event
  without its change: the trail may tell too much, never too little. If the event cannot be
  written, the change is not made.
* `record`: what has happened (a log-in, a refusal, a session ended). It is written after the fact
  and before the answer. If it cannot be written, the answer is 503: nobody gets in unrecorded,
  and a session that was ended stays ended.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

from bson import ObjectId
from flask import g, has_request_context
from pymongo.errors import DuplicateKeyError

from api.store import Document, Documents, Store, StoreError, UnavailableError
from api.store.deadline import attempt
from api.store.document import fresh, now

COLLECTION = "audit"

# Events of accounts. An administrator's change is named after its resource and verb: users.delete.
SIGNUP = "auth.signup"
LOGIN = "auth.login"
LOGOUT = "auth.logout"
LOGOUT_ALL = "auth.logout_all"
REPLAY = "auth.refresh_replay"
REVOKED = "auth.session_revoked"
PASSWORD = "auth.password_change"  # noqa: S105 - the name of an event
EMAIL = "auth.email_change"

DONE = "done"
REFUSED = "refused"
UNKNOWN = "unknown"  # the database did not say whether the change took effect


class Trail:
    """Writes events; they are read through the resource `audit`."""

    def __init__(self, store: Store, retention: float) -> None:
        self._events = Documents(store, COLLECTION)
        self._retention = timedelta(seconds=retention)

    def record(
        self,
        event: str,
        *,
        actor: ObjectId | None = None,
        target: ObjectId | None = None,
        fields: Iterable[str] = (),
        outcome: str = DONE,
    ) -> ObjectId:
        """One event: `users.change` by `actor` on `target`, with the names of fields it touched.

        Acknowledged by a majority when this returns; its id.
        """
        whence = _whence()
        document = fresh(
            {
                "event": event,
                "actor": actor,
                "target": target,
                "fields": sorted(fields) or None,
                "outcome": outcome,
                "ends_at": now() + self._retention,
                **whence,
            },
            ObjectId(),
        )
        with suppress(DuplicateKeyError):  # our own, sent again after its answer was lost
            attempt(partial(self._events.collection.insert_one, document), idempotent=True)
        event_id: ObjectId = document["_id"]
        return event_id

    @contextmanager
    def recorded(
        self,
        event: str,
        *,
        actor: ObjectId | None = None,
        target: ObjectId | None = None,
        fields: Iterable[str] = (),
    ) -> Iterator[None]:
        """Record a change before it is made; mark the event when the block raises."""
        event_id = self.record(event, actor=actor, target=target, fields=fields)
        try:
            yield
        except UnavailableError:
            self._mark(event_id, UNKNOWN)
            raise
        except Exception:
            self._mark(event_id, REFUSED)
            raise

    def _mark(self, event_id: ObjectId, outcome: str) -> None:
        """Correct an event. The caller has an error of its own to tell: ours stays quiet."""
        setting = {"$set": {"outcome": outcome}}
        with suppress(StoreError):
            attempt(
                lambda: self._events.collection.update_one({"_id": event_id}, setting),
                idempotent=True,
            )


def _whence() -> Document:
    """The current request's id and the client's address."""
    if not has_request_context():
        return {}
    return {"address": g.get("client_address"), "request_id": g.get("request_id")}

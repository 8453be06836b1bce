"""Sessions: each log-in begins one; they live in the user's document.

    sessions: [{id, jti, made_at, used_at, ends_at, address, agent}]

`jti` names the one refresh token that is good at the moment. So beginning, refreshing and ending
sessions are each one conditional write of one document on one shard, and the gate sees them with
the user it reads anyway. They change neither `version` nor `updated_at`: what is shown of a user
stays the same.

Reads are with read concern majority: nobody gets in on a write that a failover rolls back. Just
after a failover the majority's view of a new primary can lag by some milliseconds, so what is
*not* found is looked for again with a linearizable read before anybody is refused.
"""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any

from bson import ObjectId

from api.resources import USERS
from api.settings import Settings
from api.store import Document, Store
from api.store.deadline import attempt
from api.store.shape import LIVE, now

MAJORITY, LINEARIZABLE = "majority", "linearizable"


class Sessions:
    """The sessions of all users."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._lifetime = timedelta(seconds=settings.refresh_token_lifetime)
        self._limit = settings.session_limit

    def read(self, user_id: ObjectId, fields: Sequence[str], concern: str = MAJORITY) -> Document:
        """The user's document; empty when there is none."""
        users = self._store.collection(USERS.name, concern)
        found = attempt(lambda: users.find_one({"_id": user_id}, fields), idempotent=True)
        return found if found is not None and "version" in found else {}

    def begin(
        self, user: Document, address: str | None, agent: str, rehash: str | None = None
    ) -> Document | None:
        """A new session of the user whose password was just verified; replaces its hash, too.

        In the same write the expired sessions go, and above the limit the longest unused. None:
        the user was disabled, deleted or given another password meanwhile.
        """
        moment = now()
        session = {
            "id": token_hex(12),
            "jti": token_hex(16),
            "made_at": moment,
            "used_at": moment,
            "ends_at": moment + self._lifetime,
            "address": address,
            "agent": agent,
        }
        # Also when the write is repeated: never the same session twice.
        kept = {
            "$and": [
                {"$gt": ["$$this.ends_at", moment]},
                {"$ne": ["$$this.id", session["id"]]},
            ]
        }
        old = {"$filter": {"input": {"$ifNull": ["$sessions", []]}, "cond": kept}}
        every = {"$concatArrays": [old, [{"$literal": session}]]}
        by_use = {"$sortArray": {"input": every, "sortBy": {"used_at": 1}}}
        setting: Document = {"sessions": {"$slice": [by_use, -self._limit]}}
        if rehash is not None:
            setting["password_hash"] = {"$literal": rehash}
        same = {"password_hash": user["password_hash"], "disabled": {"$ne": True}}
        changed = self._update({"_id": user["_id"], **same}, [{"$set": setting}])
        return session if changed else None

    def rotate(  # noqa: PLR0913 - what a session knows of a request
        self,
        user_id: ObjectId,
        session_id: str,
        jti: str,
        address: str | None,
        agent: str,
        *,
        request: str | None = None,
    ) -> str | None:
        """Use up the refresh token `jti`; the next one's. None: it is not the session's token.

        `request` is a trusted proxy's name of the request (web/proxied.py). The next token's id
        follows from it, so that the proxy's repetition gets the same one, and is no replay.
        """
        moment, following = now(), _following(jti, request)
        # The following one matches, too: the write may be repeated after its answer was lost.
        match = {"id": session_id, "jti": {"$in": [jti, following]}, "ends_at": {"$gt": moment}}
        condition = {"_id": user_id, "disabled": {"$ne": True}, "sessions": {"$elemMatch": match}}
        fields = {
            "jti": following,
            "used_at": moment,
            "ends_at": moment + self._lifetime,
            "address": address,
            "agent": agent,
        }
        setting = {f"sessions.$.{name}": value for name, value in fields.items()}
        return following if self._update(condition, {"$set": setting}) else None

    def end(self, user_id: ObjectId, session_id: str) -> bool:
        """End one session. False: there was none."""
        condition = {"_id": user_id, "sessions.id": session_id}
        return self._update(condition, {"$pull": {"sessions": {"id": session_id}}})

    def end_all(self, user_id: ObjectId) -> None:
        """End every session of the user."""
        self._update({"_id": user_id}, {"$unset": {"sessions": ""}})

    def alive(self, user_id: ObjectId) -> list[Document]:
        """The sessions that have not ended, the last used first."""
        moment = now()
        found = self.read(user_id, ("sessions", "version")).get("sessions", [])
        living = [session for session in found if session["ends_at"] > moment]
        return sorted(living, key=lambda session: session["used_at"], reverse=True)

    def _update(self, condition: Document, change: Any) -> bool:
        users = self._store.collection(USERS.name)
        live = {**condition, "version": LIVE}
        result = attempt(lambda: users.update_one(live, change), idempotent=True)
        return result.matched_count == 1


def _following(jti: str, request: str | None) -> str:
    """The id of the token after `jti`. It is no secret that opens anything: tokens are signed."""
    if request is None:
        return token_hex(16)
    return sha256(f"{request}\0{jti}".encode()).hexdigest()[:32]


def holds(user: Document, session_id: str) -> bool:
    """Whether the user may act in this session: not disabled, and the session is there."""
    if not user or user.get("disabled"):
        return False
    return any(session["id"] == session_id for session in user.get("sessions", ()))

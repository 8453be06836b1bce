"""Sessions: each log-in begins one; they live in the user's document.

    sessions: [{id, jti, made_at, used_at, ends_at, address, agent, by_cookie, request}]

`jti` names the one refresh token that is good at the moment. So beginning, refreshing and ending
sessions are each one conditional write of one document on one shard, and the gate sees them with
the user it reads anyway. They change neither `version` nor `updated_at`: what is shown of a user
stays the same. A session ends when it was not used for a while (`refresh_token_lifetime`), and in
any case after `session_lifetime`.

A refresh token that comes a second time looks like theft (RFC 9700 2.2.2). But two tabs of a
browser share one, and refresh at the same time; and an answer may get lost on its way. So for some
seconds (`refresh_grace`) the *same client* is told the same successor again. No token is kept for
that: the successor's `jti` follows from its predecessor's, and all that its tokens say from the
session (tokens.py). The same client is one that sends from the same address (or /64), calls itself
the same (`User-Agent`), and sends the token in the same way, as a cookie or not. A thief who can be
all that within these seconds gets a token that the owner has, too: of the two who refresh next, the
later one is found out.

Reads are with read concern majority: nobody gets in on a write that a failover rolls back. Just
after a failover the majority's view of a new primary can lag by some milliseconds, so what is
*not* found is looked for again with a linearizable read before anybody is refused.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from secrets import token_hex
from typing import Any, NamedTuple

from bson import ObjectId

from api.errors import ApiError
from api.resources import USERS
from api.settings import Settings
from api.store import Document, Store
from api.store.deadline import attempt
from api.store.document import LIVE, now
from api.web.proxies import block

MAJORITY, LINEARIZABLE = "majority", "linearizable"
MOST_ADDRESSES = 10  # from which a user logged in lately, whatever became of those sessions


class ReplayedError(ApiError):
    """A refresh token was used before, and not just now by the same client. Its session is over."""


class Sender(NamedTuple):
    """Who sends a request, as far as it tells.

    `request`: a trusted proxy's name of it (web/proxies.py), the same when the proxy repeats it.
    None: no proxy named it.
    """

    address: str
    agent: str
    by_cookie: bool
    request: str | None = None


class Opened(NamedTuple):
    """A session that goes on: all that its next tokens say. `began`: seconds since 1970."""

    id: str
    jti: str
    began: int
    used_at: datetime
    ends_at: datetime


class Sessions:
    """The sessions of all users."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._unused = timedelta(seconds=settings.refresh_token_lifetime)
        self._longest = timedelta(seconds=settings.session_lifetime)
        self._grace = timedelta(seconds=settings.refresh_grace)
        self._limit = settings.session_limit

    def read(self, user_id: ObjectId, fields: Sequence[str], concern: str = MAJORITY) -> Document:
        """The user's document; empty when there is none."""
        users = self._store.collection(USERS.name, concern)
        found = attempt(partial(users.find_one, {"_id": user_id}, fields), idempotent=True)
        return found if found is not None and "version" in found else {}

    def users(self, ids: Iterable[ObjectId]) -> dict[ObjectId, Document]:
        """The users of these ids, with their role and what `holds` asks for."""
        users = self._store.collection(USERS.name, MAJORITY)
        where = {"_id": {"$in": [*ids]}, "version": LIVE}
        shown = ("role", "disabled", "sessions.id")
        found = attempt(lambda: list(users.find(where, shown)), idempotent=True)
        return {user["_id"]: user for user in found}

    def user_in(self, user_id: ObjectId, session_id: str, fields: Sequence[str]) -> Document:
        """The user's document; empty unless the user may act in this session."""
        found = self.read(user_id, fields)
        if not holds(found, session_id):
            found = self.read(user_id, fields, LINEARIZABLE)
        return found if holds(found, session_id) else {}

    def begin(self, user: Document, client: Sender, rehash: str | None = None) -> Opened | None:
        """A new session of the user whose password was just verified; replaces its hash, too.

        In the same write the expired sessions go, and above the limit the longest unused; and the
        address becomes a known one. None: the user was disabled, deleted or given another password
        meanwhile.
        """
        moment = now()
        began = int(moment.timestamp())
        opened = Opened(token_hex(12), token_hex(16), began, moment, self._end(began, moment))
        session = {"id": opened.id, "made_at": moment, **_used(opened, client)}
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
        address = {"$literal": block(client.address)}
        others = {
            "$filter": {
                "input": {"$ifNull": ["$known_addresses", []]},
                "cond": {"$ne": ["$$this", address]},
            }
        }
        addresses = {"$concatArrays": [others, [address]]}
        setting: Document = {
            "sessions": {"$slice": [by_use, -self._limit]},
            "known_addresses": {"$slice": [addresses, -MOST_ADDRESSES]},
        }
        if rehash is not None:
            setting["password_hash"] = {"$literal": rehash}
        same = {"password_hash": user["password_hash"], "disabled": {"$ne": True}}
        changed = self._update({"_id": user["_id"], **same}, [{"$set": setting}])
        return opened if changed else None

    def rotate(
        self, user_id: ObjectId, session_id: str, jti: str, began: int, client: Sender
    ) -> Opened | None:
        """Use up the refresh token `jti` of the session begun at `began`; what the next one says.

        Within the grace time the same client gets the same answer again; see the module's text.
        None: the session is over. Raises ReplayedError, when it is over from now on.
        """
        moment = now()
        opened = Opened(session_id, _following(jti), began, moment, self._end(began, moment))
        if opened.ends_at <= moment:  # the setting was lowered since
            return None
        # By its name a request knows its own write, which is sent again if its answer was lost.
        client = client._replace(request=client.request or token_hex(8))
        match = {"id": session_id, "jti": jti, "ends_at": {"$gt": moment}}
        condition = {"_id": user_id, "disabled": {"$ne": True}, "sessions": {"$elemMatch": match}}
        setting = {f"sessions.$.{name}": value for name, value in _used(opened, client).items()}
        if self._update(condition, {"$set": setting}):
            return opened
        found = self._living(user_id, session_id, moment)
        if found is None:
            return None
        if found["jti"] == opened.jti and self._is_told_again(found, client, moment):
            return opened._replace(used_at=found["used_at"], ends_at=found["ends_at"])
        self.end(user_id, session_id)
        raise ReplayedError

    def _living(self, user_id: ObjectId, session_id: str, moment: datetime) -> Document | None:
        user = self.read(user_id, ("sessions", "disabled", "version"), LINEARIZABLE)
        if not holds(user, session_id):
            return None
        found: Document = next(one for one in user["sessions"] if one["id"] == session_id)
        return found if found["ends_at"] > moment else None

    def _is_told_again(self, found: Document, client: Sender, moment: datetime) -> bool:
        if client.request == found["request"]:
            return True
        same = (
            block(found["address"]) == block(client.address)
            and found["agent"] == client.agent
            and found["by_cookie"] == client.by_cookie
        )
        return same and moment - found["used_at"] < self._grace

    def _end(self, began: int, moment: datetime) -> datetime:
        return min(moment + self._unused, datetime.fromtimestamp(began, UTC) + self._longest)

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


def _used(opened: Opened, client: Sender) -> Document:
    """What a session says of its last use."""
    return {
        "jti": opened.jti,
        "used_at": opened.used_at,
        "ends_at": opened.ends_at,
        **client._asdict(),
    }


def _following(jti: str) -> str:
    """The id of the token after `jti`. It is no secret that opens anything: tokens are signed."""
    return sha256(f"after {jti}".encode()).hexdigest()[:32]


def holds(user: Document, session_id: str) -> bool:
    """Whether the user may act in this session: not disabled, and the session is there."""
    if not user or user.get("disabled"):
        return False
    return any(session["id"] == session_id for session in user.get("sessions", ()))


def is_known(user: Document, address: str) -> bool:
    """Whether the user logged in from this address before, or refreshed a session that lives."""
    sessions = user.get("sessions", ())
    known = {*user.get("known_addresses", ()), *(block(one["address"]) for one in sessions)}
    return block(address) in known

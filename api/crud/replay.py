"""Requests that come twice, by their Idempotency-Key or by a trusted proxy's name, take effect
once.

Who sends a request again because its answer was lost gives it a name, and there are two:

* The consumer's Idempotency-Key. It has a record of its own, and holds whatever comes in between:
  the first one takes effect, the others get the document as it is now (store/replay.py says why
  this holds through crashes). Who asks and for what address belongs to the key, so nobody meets
  another's; who has no account (sign-up) shares one space of keys, where the whole body, its
  password included, must be the same. The record keeps of it a MAC, under a key that is not in the
  database: a plain hash would be a way to guess passwords cheaply.
* A trusted proxy's own, which costs nothing more (web/proxies.py). It is for writes on condition of
  a version, which take effect once however often they are sent; but whoever lost the first answer
  would get 412 or 404 for the second try, just because the first one took effect. So the write
  leaves a *receipt* in the document that it changes, or in the tombstone of what it deletes
  (store/replay.py), and a request that is refused, and finds its own receipt there, was refused
  because of itself: it is answered with the document as it is now, or 204. The receipt is a hash of
  all that makes the request: who, what, on which conditions, with which content, under which name.
  What it does not survive (so many changes of the document since, or an hour after its deletion) is
  answered 412 or 404 as ever.

A change with neither a condition nor a key may not be sent a second time by a proxy: another's
change may have come between, and would be overwritten.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from flask import request

from api.crud.access import Principal, acting
from api.settings import Settings
from api.store import Document, DuplicateError, Store, VersionMovedError
from api.store.errors import KeyBusyError, KeyReusedError
from api.store.replay import IdempotencyKeys, Keyed, Receipt, Ticket, TookEffect
from api.web import conditions, proxies
from api.web.problems import ProblemError
from api.web.signing import Signing

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
# As draft-ietf-httpapi-idempotency-key-header has it, a string in quotes; or the same without them.
KEY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x5b\x5d-\x7e]{1,255})')
AFTER_DEADLINE = 2.0  # seconds by which the lease of a key outlasts a request

REFUSALS = (DuplicateError, ProblemError, VersionMovedError)  # nothing was written


class Once:
    """Lets a request with a key take effect once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.keys = IdempotencyKeys(
            store, settings.idempotency_lifetime, settings.request_deadline + AFTER_DEADLINE
        )
        self._signing = Signing(settings.signing_secrets, "idempotency")

    def begin(self, body: Document, took_effect: TookEffect) -> Ticket | None:
        """A ticket for the current request with this body; None: it has no key.

        Raises ProblemError: 400 for a malformed key, 422 where it came with another body before,
        409 while the first request with it is at work.
        """
        key = given_key()
        if key is None:
            return None
        text = msgspec.json.encode(body, enc_hook=str, order="deterministic")
        try:
            return self.keys.begin(
                _name(key), self._signing.macs(text), took_effect, proxies.request_name()
            )
        except KeyReusedError:
            detail = "This Idempotency-Key was used with another body. Choose a new one."
            raise ProblemError(422, detail, kind="key-reused") from None
        except KeyBusyError:
            detail = "The first request with this Idempotency-Key is still at work."
            raise ProblemError(409, detail, kind="key-busy", headers={"Retry-After": "1"}) from None

    @contextmanager
    def holding(self, ticket: Ticket | None) -> Iterator[None]:
        """Around what makes the ticket's effect: the record tells afterwards what became of it."""
        try:
            yield
        except REFUSALS:
            if ticket is not None:
                self.keys.forget(ticket)
            raise
        except Exception:
            if ticket is not None:
                self.keys.release(ticket)
            raise
        if ticket is not None:
            self.keys.finish(ticket)


def given_key() -> str | None:
    """The request's Idempotency-Key. Raises 400 when it is malformed."""
    text = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if text is None:
        return None
    found = KEY.fullmatch(text)
    if found is None:
        detail = "Idempotency-Key is malformed. Send 1 to 255 ASCII characters, best in quotes."
        raise ProblemError(400, detail, kind="malformed")
    return found[1] or found[2]


def _name(key: str) -> str:
    """The record's `_id`."""
    document = (request.view_args or {}).get("document_id", "").lower()
    parts = (_who(acting()), request.endpoint or "", document, key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _who(who: Principal | None) -> str:
    return "anyone" if who is None else str(who.id)


DIGEST = 8  # bytes, what MongoDB's integers have: to be found among a document's marks, not all


def receipt(ticket: Ticket | None, fields: Document) -> Receipt:
    """What the current request leaves in what it writes; None: each one is a new one."""
    if ticket is not None:
        return Keyed(ticket.key, ticket.effect)
    proxy, who = proxies.request_name(), acting()
    if who is None or proxy is None:
        return None
    names = (conditions.IF_MATCH, conditions.IF_NONE_MATCH)
    asked = [request.headers.get(name) for name in names]
    all_of_it = (str(who.id), request.method, request.path, asked, fields, proxy)
    text = msgspec.json.encode(all_of_it, enc_hook=str, order="deterministic")
    return int.from_bytes(hashlib.sha256(text).digest()[:DIGEST], "big", signed=True)

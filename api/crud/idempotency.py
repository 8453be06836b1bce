"""Requests that carry an Idempotency-Key, or a trusted proxy's name, and may so come twice.

Why a key holds through crashes is in store/replay.py. Who asks and for what address belongs to
the key, so nobody meets another's; who has no account (sign-up) shares one space of keys, where the
whole body, its password included, must be the same. The record keeps of it a MAC, under a key that
is not in the database: a plain hash would be a way to guess passwords cheaply.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from flask import request

from api.crud.access import Principal, acting
from api.crud.cursors import Signer
from api.settings import Settings
from api.store import Document, DuplicateError, Store, VersionMovedError
from api.store.errors import KeyBusyError, KeyReusedError
from api.store.replay import Keys, Ticket, TookEffect
from api.web import proxies
from api.web.problems import ProblemError

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
# As draft-ietf-httpapi-idempotency-key-header has it, a string in quotes; or the same without them.
KEY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x5b\x5d-\x7e]{1,255})')
AFTER_DEADLINE = 2.0  # seconds by which the lease of a key outlasts a request

REFUSALS = (DuplicateError, ProblemError, VersionMovedError)  # nothing was written


class Once:
    """Lets a request with a key take effect once."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.keys = Keys(
            store, settings.idempotency_lifetime, settings.request_deadline + AFTER_DEADLINE
        )
        self._signer = Signer(settings, "idempotency")

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
                _name(key), self._signer.all(text), took_effect, proxies.request_name()
            )
        except KeyReusedError:
            detail = f"This {HEADER} was used with another body. Choose a new one."
            raise ProblemError(422, detail, kind="key-reused") from None
        except KeyBusyError:
            detail = f"The first request with this {HEADER} is still at work."
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
        detail = f"{HEADER} is malformed. Send 1 to 255 ASCII characters, best in quotes."
        raise ProblemError(400, detail, kind="malformed")
    return found[1] or found[2]


def _name(key: str) -> str:
    """The record's `_id`."""
    document = (request.view_args or {}).get("document_id", "").lower()
    parts = (_who(acting()), request.endpoint or "", document, key)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _who(who: Principal | None) -> str:
    return "anyone" if who is None else str(who.id)

"""Creating one document for a request, at most once where it carries an Idempotency-Key.

Why a key holds through crashes is in store/idempotency.py. Who asks belongs to the key, so nobody
meets another's; who has no account (sign-up) shares one space of keys, where the whole body, its
password included, must be the same. The record keeps of it a MAC, under a key that is not in the
database: a plain hash would be a way to guess passwords cheaply.
"""

import hashlib
import re
from collections.abc import Callable

import msgspec
from bson import ObjectId
from flask import Response, request, url_for

from api.crud import values
from api.crud.access import Principal, Who, acting
from api.crud.audit import Trail
from api.crud.constraints import check
from api.crud.cursors import Signer
from api.crud.declaration import Resource
from api.settings import Settings
from api.store import Document, DuplicateError, Store
from api.store.errors import KeyBusyError, KeyReusedError
from api.store.idempotency import Keys, Ticket
from api.web import body, etags, proxied
from api.web.problems import ProblemError, in_body, invalid

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
# As draft-ietf-httpapi-idempotency-key-header has it, a string in quotes; or the same without them.
KEY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x5b\x5d-\x7e]{1,255})')
AFTER_DEADLINE = 2.0  # seconds by which the lease of a key outlasts a request

REQUEST_HEADERS = {HEADER: "A text of your choice: sent again with it, the request creates once"}
ANSWER_HEADERS = {
    "Location": "Its address",
    "ETag": "Its version, for If-Match",
    REPLAYED: "true, where an earlier request with this Idempotency-Key created it",
}


Born = Callable[[ObjectId], Document]


def unborn(_document_id: ObjectId) -> Document:
    """No further fields, and the `_id` is free to change until it is taken."""
    return {}


class Creation:
    """Creates documents of one resource."""

    def __init__(self, resource: Resource, store: Store, settings: Settings, trail: Trail) -> None:
        self._resource = resource
        self._documents = resource.documents(store)
        self._trail = trail
        self._keys = Keys(
            store, settings.idempotency_lifetime, settings.request_deadline + AFTER_DEADLINE
        )
        self._signer = Signer(settings, "idempotency")

    def answer(self, fields: Document, born: Born = unborn) -> Response:
        """Create from the valid fields of a body, and answer 201 with the document's address.

        `born` gets the `_id` of the document that is written next, and returns further fields.
        """
        key = given_key()
        given = values.stored(self._owned(fields), self._resource.conversions)
        check(self._resource.constraints, given)
        if key is None:
            return self._created(self._create(given, None, born))
        ticket = self._begin(key, given)
        if ticket.done:
            return self._replayed(ticket, given)
        return self._created(self._create_under(ticket, given, born))

    def _owned(self, fields: Document) -> Document:
        """The fields with their owner: the principal, or whom an administrator names."""
        owner, who = self._resource.owner, acting()
        if owner in (None, "_id") or who is None:
            return fields
        named = fields.get(owner)
        if named is not None and named != str(who.id) and not who.is_admin:
            detail = "Only administrators may create for somebody else. Leave it out."
            raise invalid(in_body(owner, detail))
        return {**fields, owner: named or str(who.id)}

    def _create(self, given: Document, document_id: ObjectId | None, born: Born) -> Document:
        stored = {**self._resource.prepare(dict(given)), **self._resource.defaults()}
        if born is not unborn:
            document_id = document_id or ObjectId()
            stored.update(born(document_id))
        who = acting()
        if who is None or not who.is_admin:
            return self._documents.create(stored, document_id)
        chosen = document_id or ObjectId()
        with self._trail.recorded(
            f"{self._resource.name}.create", actor=who.id, target=chosen, fields=given
        ):
            return self._documents.create(stored, chosen)

    def _create_under(self, ticket: Ticket, given: Document, born: Born) -> Document:
        try:
            document = self._create(given, ticket.document_id, born)
        except (DuplicateError, ProblemError):
            self._keys.forget(ticket)
            raise
        except Exception:
            self._keys.release(ticket)
            raise
        self._keys.finish(ticket)
        return document

    def _begin(self, key: str, given: Document) -> Ticket:
        name = hashlib.sha256(
            "\0".join((_who(acting()), request.endpoint or "", key)).encode()
        ).hexdigest()
        text = msgspec.json.encode(given, enc_hook=str, order="deterministic")
        try:
            return self._keys.begin(
                name,
                self._signer.all(text),
                self._documents,
                self._shard_key(given),
                proxied.name(),
            )
        except KeyReusedError:
            detail = f"This {HEADER} was used with another body. Choose a new one."
            raise ProblemError(422, detail, kind="key-reused") from None
        except KeyBusyError:
            detail = f"The first request with this {HEADER} is still at work."
            raise ProblemError(409, detail, kind="key-busy", headers={"Retry-After": "1"}) from None

    def _shard_key(self, given: Document) -> Document:
        """The fields of the shard key besides `_id`; of those, bodies set the owner only."""
        stored = {**given, **self._resource.defaults()}
        return {field: stored.get(field) for field in self._resource.key_fields}

    def _replayed(self, ticket: Ticket, given: Document) -> Response:
        document = self._documents.get(ticket.document_id, None, self._shard_key(given))
        if document is None:
            detail = f"What this {HEADER} created has been deleted since."
            raise ProblemError(410, detail, kind="deleted-since")
        return self._created(document, {REPLAYED: "true"})

    def _created(self, document: Document, more: dict[str, str] | None = None) -> Response:
        name = self._resource.name
        headers = {"ETag": etags.tag(document["version"]), **(more or {})}
        if self._resource.access.get is not Who.NOBODY:
            address = url_for(f"{name}.get", document_id=str(document["_id"]))
            headers["Location"] = address
        return body.reply(self._resource.show(document), 201, headers)


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


def _who(who: Principal | None) -> str:
    return "anyone" if who is None else str(who.id)

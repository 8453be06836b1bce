"""Creating one document for a request, at most once where it carries an Idempotency-Key.

Against enumeration: whoever tries to take a unique value learns whether somebody has it. So these
tries are counted, by account and by address, whatever the resource, the field and the route: the
store tells of each (`Watch`, store/claims.py), and nobody else needs to think of it. What counts is
what tells:

* a change to another value, taken or free: for both answers tell, and who moves on to the next
  value has given the last one back;
* a creation that is refused. One that succeeds tells as much, but at the price of a document that
  stays and is seen; how many an address may make, `register_rate_address` limits.

Edits that leave unique values as they are count nothing. Administrators see all documents anyway,
and imports are theirs: neither is counted. All is counted before it is tried, so N tries at the
same time get no more than the limit's answers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bson import ObjectId
from flask import Response, has_request_context, url_for

from api.crud import values
from api.crud.access import Who, acting
from api.crud.audit import Trail
from api.crud.replay import HEADER, REPLAYED, Once
from api.crud.resource import Resource
from api.crud.rules import check
from api.settings import Settings
from api.store import Document, Store
from api.store.claims import Watch
from api.store.replay import Ticket
from api.store.throttle import Throttle
from api.web import body, conditions
from api.web.problems import ProblemError, in_body, invalid
from api.web.proxies import block, client_address


class Counted(Watch):
    """Counts the tries of requests. Raises `ThrottledError`."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._accounts = Throttle(store, "unique-account", settings.unique_rate_account)
        self._addresses = Throttle(store, "unique-address", settings.unique_rate_address)

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Around the creation of one document with unique values."""
        counters = _counters()
        self._hit(counters)
        yield
        for throttle, who in self._each(counters):
            throttle.give_back(who)

    def changing(self) -> None:
        """Before one document's unique values are changed to others."""
        self._hit(_counters())

    def _hit(self, counters: "Counters") -> None:
        for throttle, who in self._each(counters):
            throttle.hit(who)

    def _each(self, counters: "Counters") -> Iterator[tuple[Throttle, str]]:
        account, address = counters
        if account is not None:
            yield self._accounts, account
        if address is not None:
            yield self._addresses, address


Counters = tuple[str | None, str | None]  # the account's and the address's


def _counters() -> Counters:
    """Under which names the current request counts; None: not at all."""
    who = acting() if has_request_context() else None
    if not has_request_context() or (who is not None and who.is_admin):
        return None, None
    return None if who is None else str(who.id), block(client_address())


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
        self._once = Once(store, settings)

    def answer(self, fields: Document, born: Born = unborn) -> Response:
        """Create from the valid fields of a body, and answer 201 with the document's address.

        `born` gets the `_id` of the document that is written next, and returns further fields.
        """
        given = values.stored(self._owned(fields), self._resource.conversions)
        check(self._resource.constraints, given)
        ticket = self._once.begin(given, lambda _key, effect: self._exists(effect, given))
        if ticket is not None and ticket.done:
            return self._replayed(ticket, given)
        with self._once.holding(ticket):
            document = self._create(given, ticket and ticket.effect, born)
        return self._created(document)

    def _exists(self, document_id: ObjectId, given: Document) -> bool:
        return self._documents.fence(document_id, self._shard_key(given)) is not None

    def _owned(self, fields: Document) -> Document:
        """The fields with their owner: the principal, or whom an administrator names."""
        owner, who = self._resource.owner, acting()
        if owner in (None, "_id") or who is None:
            return fields
        named = fields.get(owner)
        if named is not None and named.lower() != str(who.id) and not who.is_admin:
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

    def _shard_key(self, given: Document) -> Document:
        """The fields of the shard key besides `_id`; of those, bodies set the owner only."""
        stored = {**given, **self._resource.defaults()}
        return {field: stored.get(field) for field in self._resource.key_fields}

    def _replayed(self, ticket: Ticket, given: Document) -> Response:
        document = self._documents.get(ticket.effect, None, self._shard_key(given))
        if document is None:
            detail = f"What this {HEADER} created has been deleted since."
            raise ProblemError(410, detail, kind="deleted-since")
        return self._created(document, {REPLAYED: "true"})

    def _created(self, document: Document, more: dict[str, str] | None = None) -> Response:
        name = self._resource.name
        headers = {"ETag": conditions.tag(document["version"]), **(more or {})}
        if self._resource.access.get is not Who.NOBODY:
            address = url_for(f"{name}.get", document_id=str(document["_id"]))
            headers["Location"] = address
        return body.reply(self._resource.show(document), 201, headers)

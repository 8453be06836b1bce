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
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

from bson import ObjectId
from flask import Response, has_request_context, request, url_for

from api.crud.access import Principal, Who, acting, admit
from api.crud.audit import Trail
from api.crud.references import References
from api.crud.replay import HEADER, REPLAYED, Once
from api.crud.resource import Resource
from api.crud.rules import check
from api.settings import Settings
from api.store import Document, Store
from api.store.claims import Watch
from api.store.replay import Ticket
from api.store.throttle import Throttle
from api.web import body as bodies
from api.web.problems import ProblemError, in_body, invalid
from api.web.proxies import block, client_address


class Counted(Watch):
    """Counts the tries of requests. Raises `ThrottledError`."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._accounts = Throttle(store, "unique-account", settings.unique_rate_account)
        self._addresses = Throttle(store, "unique-address", settings.unique_rate_address)

    def creating(self) -> AbstractContextManager[None]:
        """Around the creation of one document with unique values."""
        tries = _tries()
        return nullcontext() if tries is None else self._creating(tries)

    def changing(self) -> None:
        """Before one document's unique values are changed to others."""
        tries = _tries()
        if tries is not None:
            self._hit(tries)

    @contextmanager
    def _creating(self, tries: "Tries") -> Iterator[None]:
        self._hit(tries)
        yield
        for throttle, who in self._each(tries):
            throttle.give_back(who)

    def _hit(self, tries: "Tries") -> None:
        for throttle, who in self._each(tries):
            throttle.hit(who)

    def _each(self, tries: "Tries") -> Iterator[tuple[Throttle, str]]:
        if tries.account is not None:
            yield self._accounts, tries.account
        yield self._addresses, tries.address


class Tries(NamedTuple):
    """Under which names the tries of a request count."""

    account: str | None
    address: str


def _tries() -> Tries | None:
    """Those of the current request; None: it is not counted, or there is none."""
    if not has_request_context():
        return None
    who = acting()
    if who is None:
        return Tries(None, block(client_address()))
    return None if who.is_admin else Tries(str(who.id), block(client_address()))


class Senders:
    """Counts what is created of a resource that declares a rate. Raises `ThrottledError`."""

    def __init__(self, resource: Resource, store: Store, settings: Settings) -> None:
        self._accounts, self._addresses = (
            Throttle(store, f"{resource.rate}-{by}", rate) if rate else None
            for by in ("account", "address")
            for rate in [getattr(settings, f"{resource.rate}_rate_{by}", "")]
        )

    def hit(self) -> None:
        """Before one is created, by whomever."""
        who = acting()
        if who is not None and self._accounts is not None:
            self._accounts.hit(str(who.id))
        if self._addresses is not None:
            self._addresses.hit(block(client_address()))


REQUEST_HEADERS = {HEADER: "A text of your choice: sent again with it, the request creates once"}
ANSWER_HEADERS = {
    "Location": "Its address",
    "ETag": "Its version, for If-Match",
    REPLAYED: "true, where an earlier request with this Idempotency-Key created it",
}

LateFields = Callable[[ObjectId], Document]
"""Of the `_id` of the document that is written next: its further stored fields."""


class Creation:
    """Creates documents of one resource."""

    def __init__(
        self,
        resource: Resource,
        store: Store,
        settings: Settings,
        trail: Trail,
        references: References,
    ) -> None:
        self._resource = resource
        self._documents = resource.documents(store)
        self._references = references
        self._trail = trail
        self._once = Once(store, settings)
        self._senders = Senders(resource, store, settings)

    @property
    def guard(self) -> Callable[[], None]:
        """What stands before the body is read: whom it refuses learns nothing of what is wrong."""
        rule = partial(admit, self._resource.access.create)
        return self._counted if self._resource.rate else rule

    def _counted(self) -> None:
        admit(self._resource.access.create)
        self._senders.hit()

    def create(self, body: Document, late_fields: LateFields | None = None) -> Response:
        """Create one of {name}."""
        # Answers 201 with the document's address. `body`: valid fields.
        who, resource = acting(), self._resource
        by_admin = who is not None and who.is_admin
        given = resource.converted(self._owned(body, who) if resource.is_owned else body)
        if resource.constraints:
            check(resource.constraints, given)
        if resource.references:
            self._references.check(given)
        ticket = self._ticket(given) if HEADER in request.headers else None
        headers = {}
        if ticket is not None and ticket.done:
            document = self._made_before(ticket, given)
            headers[REPLAYED] = "true"
        else:
            with nullcontext() if ticket is None else self._once.holding(ticket):
                stored = resource.beginning(given)
                # Where nobody needs its `_id` before, that is free to change until it is taken.
                chosen = None if ticket is None else ticket.effect
                if by_admin or late_fields is not None:
                    chosen = chosen or ObjectId()
                if late_fields is not None and chosen is not None:
                    stored.update(late_fields(chosen))
                with (
                    self._trail.recorded(
                        f"{resource.name}.create", actor=who.id, target=chosen, fields=given
                    )
                    if by_admin and who is not None
                    else nullcontext()
                ):
                    document = self._documents.create(stored, chosen)
        shown = resource.show(document)
        headers["ETag"] = bodies.tag(document["version"])
        if resource.access.get is not Who.NOBODY:
            headers["Location"] = url_for(f"{resource.name}.get", document_id=shown["id"])
        return bodies.reply(shown, 201, headers)

    def _ticket(self, given: Document) -> Ticket | None:
        return self._once.begin(given, lambda _key, effect: self._exists(effect, given))

    def _exists(self, document_id: ObjectId, given: Document) -> bool:
        return self._documents.fence(document_id, self._shard_key(given)) is not None

    def _owned(self, fields: Document, who: Principal | None) -> Document:
        """The fields with their owner: the principal, or whom an administrator names."""
        if who is None:
            return fields
        owner = str(self._resource.owner)
        named = fields.get(owner)
        if named is not None and named.lower() != str(who.id) and not who.is_admin:
            detail = "Only administrators may create for somebody else. Leave it out."
            raise invalid(in_body(owner, detail))
        return {**fields, owner: named or str(who.id)}

    def _shard_key(self, given: Document) -> Document:
        """The fields of the shard key besides `_id`; of those, bodies set the owner only."""
        stored = {**given, **self._resource.defaults()}
        return {field: stored.get(field) for field in self._resource.key_fields}

    def _made_before(self, ticket: Ticket, given: Document) -> Document:
        """What an earlier request with the key has created. Raises 410."""
        document = self._documents.get(ticket.effect, None, self._shard_key(given))
        if document is None:
            detail = "What this Idempotency-Key created has been deleted since."
            raise ProblemError(410, detail, kind="deleted-since")
        return document

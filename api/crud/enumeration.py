"""Against enumeration: whoever tries to take a unique value learns whether somebody has it.

So these tries are counted, by account and by address, whatever the resource, the field and the
route: the store tells of each (`Watch`, store/claims.py), and nobody else needs to think of it.
What counts is what tells:

* a change to another value, taken or free: for both answers tell, and who moves on to the next
  value has given the last one back;
* a creation that is refused. One that succeeds tells as much, but at the price of a document that
  stays and is seen; how many an address may make, `register_rate_address` limits.

Edits that leave unique values as they are count nothing. Administrators see all documents anyway,
and imports are theirs: neither is counted. All is counted before it is tried, so N tries at once
get no more than the limit's answers.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import has_request_context

from api.crud.access import acting
from api.settings import Settings
from api.store import Store
from api.store.claims import Watch
from api.store.throttle import Throttle
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

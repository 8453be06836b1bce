"""Changes and deletions that come a second time, and are answered as the first time.

Who sends a request again because its answer was lost gives it a name, and there are two:

* The consumer's Idempotency-Key. It has a record of its own, and holds whatever comes in between:
  the first one takes effect, the others get the document as it is now (store/replay.py).
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

import msgspec
from flask import request

from api.crud.access import acting
from api.store import Document
from api.store.replay import Keyed, Receipt, Ticket
from api.web import conditions, proxies

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

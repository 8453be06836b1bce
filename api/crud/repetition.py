"""Changes and deletions that come a second time, and are answered as the first time.

A write on condition of a version is safe to repeat: it takes effect once. But whoever lost the
first answer gets 412 or 404 for the second try, just because the first one took effect. So a
request that has a name (the consumer's Idempotency-Key, or the trusted proxy's own: web/proxied.py)
leaves its *mark* in the very write that it makes, which costs nothing more:

* a change pushes it to the document's `marks`, of which the last ones stay;
* a deletion leaves, in the document's place, a tombstone with it, which goes after an hour.

A request that is refused, and finds its own mark there, was refused because of itself: it is
answered with the document as it is now, or 204. The mark is a hash of all that makes the request:
who, what, on which conditions, with which content, under which name. So nobody meets another's, and
a key that is used again for something else does not match.

What the mark does not survive (so many changes of the document since, or an hour after its
deletion) is answered 412 or 404 as ever. A change *without* a condition may not be sent a second
time by a proxy: another's change may have come between, and would be overwritten.
"""

import hashlib

import msgspec
from flask import request

from api.crud.access import acting
from api.crud.creation import given_key
from api.store import Document
from api.web import etags, proxied

DIGEST = 8  # bytes, what MongoDB's integers have: to be found among a document's marks, not all


def mark(fields: Document | None = None) -> int | None:
    """The current request's; None: it has no name, and each one is a new one.

    Raises 400 for a malformed Idempotency-Key.
    """
    key, proxy, who = given_key(), proxied.name(), acting()
    if who is None or (key is None and proxy is None):
        return None
    name = ("key", key) if key is not None else ("proxy", proxy)
    conditions = [request.headers.get(header) for header in (etags.IF_MATCH, etags.IF_NONE_MATCH)]
    all_of_it = (str(who.id), request.method, request.path, conditions, fields, name)
    text = msgspec.json.encode(all_of_it, enc_hook=str, order="deterministic")
    return int.from_bytes(hashlib.sha256(text).digest()[:DIGEST], "big", signed=True)

"""The audit trail, for administrators to read: security events, and what administrators changed.

Events are written by the API itself (api/crud/audit.py) and changed by nobody. The newest first:
`GET /api/v1/audit?sort=-created_at`.
"""

from msgspec import Struct

from api.crud.access import Access, Who
from api.crud.audit import COLLECTION
from api.crud.fields import Id
from api.crud.resource import EXACT, ORDERED, TEXT, Index, Resource


class Event(Struct, kw_only=True):
    """Who did what to whom, from where; the names of the fields it touched, and no values.

    outcome: done, refused, throttled, or unknown when the database did not say.
    """

    event: str
    actor: Id | None
    target: Id | None
    fields: list[str] | None
    outcome: str
    address: str | None
    request_id: str | None


AUDIT = Resource(
    name=COLLECTION,
    fields=Event,
    access=Access(
        list=Who.ADMIN, get=Who.ADMIN, create=Who.NOBODY, change=Who.NOBODY, delete=Who.NOBODY
    ),
    filters={"event": TEXT, "actor": EXACT, "target": EXACT, "created_at": ORDERED},
    indexes=(Index((("ends_at", 1),), ttl=0),),
)

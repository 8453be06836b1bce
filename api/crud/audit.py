"""The audit trail: security events, and what administrators change."""

from collections.abc import Iterable

from bson import ObjectId

from api.store import Documents, Store

COLLECTION = "audit"


class Trail:
    """Writes events; they are read through the resource `audit`."""

    def __init__(self, store: Store) -> None:
        self._events = Documents(store, COLLECTION)

    def record(
        self,
        event: str,
        *,
        actor: ObjectId | None = None,
        target: ObjectId | None = None,
        fields: Iterable[str] = (),
        outcome: str = "done",
    ) -> None:
        """One event: `users.change` by `actor` on `target`, with the names of fields it touched.

        Acknowledged by a majority when this returns.
        """
        self._events.create(
            {
                "event": event,
                "actor": actor,
                "target": target,
                "fields": list(fields) or None,
                "outcome": outcome,
            }
        )

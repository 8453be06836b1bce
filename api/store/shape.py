"""What every stored document has in common.

`_id` (ObjectId), `version` (1, then one more per change), `created_at`, `updated_at`. What has no
version is no document: a tombstone (claims.py), never seen from outside.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

Document = dict[str, Any]

LIVE: Mapping[str, Any] = {"$exists": True}  # the version of anything that is a document


def fresh(fields: Mapping[str, Any], document_id: ObjectId) -> Document:
    """A document at version 1; fields that are None are left out."""
    moment = now()
    return {
        "_id": document_id,
        **{field: value for field, value in fields.items() if value is not None},
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }


def now() -> datetime:
    """The time in the database's resolution, so that what we return equals what is read later."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

"""Ground floor: the client, deadlines, generic documents and unique claims.

Knows MongoDB and nothing of HTTP, settings or resources.
"""

from api.store.bulk import BulkReport
from api.store.claims import Unique
from api.store.client import Store, StoreOptions
from api.store.document import Document
from api.store.documents import Documents
from api.store.errors import (
    DuplicateError,
    StoreError,
    ThrottledError,
    UnavailableError,
    VersionMovedError,
)

__all__ = [
    "BulkReport",
    "Document",
    "Documents",
    "DuplicateError",
    "Store",
    "StoreError",
    "StoreOptions",
    "ThrottledError",
    "UnavailableError",
    "Unique",
    "VersionMovedError",
]

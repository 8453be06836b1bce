"""Bulk export: all documents that the filters admit, one JSON object per line, in order of id.

Read by keyset, page by page. Each page has a deadline of its own and is read again when a failover
is in its way, so that one costs time and no more; between pages nothing is open in the database,
however slowly the client reads. What is created or deleted meanwhile may be in it or not.
"""

from collections.abc import Iterator

import msgspec
from flask import Response

from api.crud.access import Who
from api.crud.declaration import Resource
from api.crud.lists import Lists
from api.crud.reach import Reach
from api.settings import Settings
from api.store import Document, Store, UnavailableError
from api.store.deadline import deadline
from api.store.pages import After
from api.web import bulk

PAGE = 500
PAGING = frozenset({"limit", "after", "sort", "fields"})


class ExportError(msgspec.Struct):
    """The last line of an export that is not whole; a whole one ends with a document."""

    error: str


class Export:
    """Exports one resource."""

    def __init__(self, resource: Resource, store: Store, settings: Settings, lists: Lists) -> None:
        self._resource = resource
        self._documents = resource.documents(store)
        self._reach = Reach(resource, self._documents)
        self._seconds = settings.request_deadline
        self._lists = lists
        self.query = _filters_only(lists.query)

    def run(self, query: msgspec.Struct) -> Response:
        """Get all of {name} that the filters admit, one JSON object per line.

        If the database fails midway, the last line is {"error": "…"} and the export is not whole.
        """
        where = self._reach.narrow(Who.ADMIN, self._lists.where(query))
        return Response(self._lines(where), mimetype=bulk.MEDIA)

    def _lines(self, where: Document) -> Iterator[bytes]:
        after: After | None = None
        while True:
            try:
                with deadline(self._seconds):
                    page = self._documents.page(
                        self._resource.shown, PAGE, where=where, after=after
                    )
            except UnavailableError as error:
                yield bulk.encode(ExportError(f"The export is not whole: {error}."))
                return
            if page:
                after = (page[-1]["_id"], page[-1]["_id"])
                yield b"".join(bulk.encode(self._resource.show_projected(one)) for one in page)
            if len(page) < PAGE:
                return


def _filters_only(query: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The query of a list without what is about pages."""
    kept = [one for one in msgspec.structs.fields(query) if one.name not in PAGING]
    return msgspec.defstruct(
        query.__name__.replace("Query", "ExportQuery"),
        [(one.name, one.type, one.default) for one in kept],
        rename={one.name: one.encode_name for one in kept},
        kw_only=True,
        forbid_unknown_fields=True,
    )

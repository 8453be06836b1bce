"""The routes for bulk: import and export, for whom a resource's `access.bulk` admits."""

from collections.abc import Iterator
from functools import partial

from api.crud.access import Who, admit
from api.crud.audit import Trail
from api.crud.declaration import Resource
from api.crud.exports import Export
from api.crud.imports import Import, ImportQuery, RefusedLine
from api.crud.lists import Lists
from api.settings import Settings
from api.store import Store
from api.web import bulk
from api.web.operations import Answer, View, operation

REPORT = 'A line for each line refused, and a last one: {"created": …, "refused": …}'


def views(
    resource: Resource, store: Store, settings: Settings, trail: Trail, lists: Lists
) -> Iterator[tuple[str, str, View]]:
    """Name, method and view of each route; none where nobody may."""
    rule = resource.access.bulk
    if rule is Who.NOBODY:
        return
    export = Export(resource, store, settings, lists)
    exported = operation(
        query=export.query,
        guard=partial(admit, rule),
        answers={200: Answer(shape=resource.read, media=bulk.MEDIA)},
        problems=(403,),
        deadline=settings.bulk_deadline,
    )
    yield "export", "GET", exported(export.run)
    if resource.create is None or resource.attachment is not None:
        return
    importing = Import(resource, store, settings, trail)
    imported = operation(
        body=(importing.shape,),
        query=ImportQuery,
        rules=resource.rules,
        media=bulk.MEDIA,
        guard=partial(admit, rule),
        answers={200: Answer(shape=RefusedLine, media=bulk.MEDIA, description=REPORT)},
        problems=(400, 403, 408, 413, 415),
        deadline=settings.bulk_deadline,
        body_limit=settings.import_limit,
        streamed=True,
    )
    yield "import", "POST", imported(importing.run)

"""The routes of a resource: one for each thing that somebody may do; what it takes and answers."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial, wraps
from typing import Any, NamedTuple

import msgspec
from flask import Blueprint, Response

from api.crud import bulk, consistency, shapes
from api.crud.access import Access, Who, admit
from api.crud.audit import Trail
from api.crud.creation import ANSWER_HEADERS, REQUEST_HEADERS
from api.crud.files import AttachmentViews, form_shape
from api.crud.references import References
from api.crud.replay import HEADER
from api.crud.resource import Resource
from api.crud.values import DocumentId
from api.crud.views import Views
from api.settings import Settings
from api.store import Store
from api.web import conditions, files
from api.web.operations import Answer, View, of, operation

ONE = "/<id:document_id>"
TAG = {"ETag": "Its version, for If-Match and If-None-Match"}
LINK = {"Link": "The next page, if there is one (RFC 8288)"}
CONDITIONS = {
    conditions.IF_MATCH: "Only if the document is at one of these versions (entity tags)",
    conditions.IF_NONE_MATCH: "Only if it is at none of these versions (entity tags)",
}


CHANGE_HEADERS = {
    **CONDITIONS,
    HEADER: "A text of your choice: sent again with it because its answer was lost, the request "
    "takes effect once, and is answered with the document as it is by then",
}

FILE_HEADERS = {"ETag": "Digest of its content", "Content-Disposition": "attachment; its name"}


GUARDED = """

With one's own account, {fields} need a log-in that is not long ago. Otherwise the answer is 401 of
type `urn:shardstack:problem:fresh-login`, with the challenge of RFC 9470 whose `max_age` says how
many seconds: log in again, and repeat the request with the new token."""


class Route(NamedTuple):
    """One route of a resource; `rule`: whom it admits."""

    name: str
    path: str
    method: str
    rule: Who
    view: View


def blueprint(
    resource: Resource,
    store: Store,
    settings: Settings,
    trail: Trail,
    everything: Iterable[Resource] = (),
) -> Blueprint:
    """The routes, to be registered under the API's prefix. `everything`: all other resources."""
    made = Blueprint(resource.name, __name__)
    made.record(lambda state: state.app.url_map.converters.update(id=DocumentId))
    consistency.check(resource)
    references = References(resource, store, everything)
    views = Views(resource, store, settings, trail, references)
    routes = declared(resource, views)
    if resource.attachment is not None:
        routes = attached(
            routes, resource, AttachmentViews(resource, store, settings, views.creation), settings
        )
    for route in routes:
        view = _telling(route.view, route.rule)
        made.add_url_rule(route.path, route.name, view, methods=[route.method])
    for name, method, view in bulk.views(resource, store, settings, trail, views):
        told = _telling(_named(view, resource.name), resource.access.bulk)
        made.add_url_rule(f"/{name}", name, told, methods=[method])
    return made


def declared(resource: Resource, views: Views) -> Iterator[Route]:
    """The routes there are: what nobody may do, and what nothing is declared for, has none."""
    for route in (*_collection(resource, views), *_single(resource, views)):
        if route.rule is not Who.NOBODY:
            yield _guarded(resource, route._replace(view=_named(route.view, resource.name)))


def _collection(resource: Resource, views: Views) -> Iterator[Route]:
    access: Access = resource.access
    page = shapes.page(resource.read, shapes.partial(resource.read))
    listed = operation(
        query=views.lists.query,
        rules=resource.rules,
        guard=partial(admit, access.list),
        answers={200: Answer(shape=page, headers=LINK)},
        problems=(403,),
    )
    yield Route("list", "", "GET", access.list, listed(views.list))
    if resource.create is not None:
        created = operation(
            body=resource.create,
            rules=resource.rules,
            headers=REQUEST_HEADERS,
            guard=views.creation.guard,
            answers={201: Answer(shape=resource.read, headers=ANSWER_HEADERS)},
            problems=(403, 409, 410, *created_often(resource)),
        )
        yield Route("create", "", "POST", access.create, created(views.creation.create))


def _single(resource: Resource, views: Views) -> Iterator[Route]:
    access: Access = resource.access
    shown = {200: Answer(shape=resource.read, headers=TAG)}
    same = Answer(description="The document is at this version still", headers=TAG)
    got = operation(headers=CONDITIONS, answers={**shown, 304: same}, problems=(404, 412))
    yield Route("get", ONE, "GET", access.get, got(views.get))
    writing = (403, 404, 409, 412, *throttled(resource))
    replaced = operation(
        body=_distinct(views.replacements.values()),
        rules=resource.rules,
        headers=CHANGE_HEADERS,
        answers=shown,
        problems=writing,
    )
    if views.replacements:
        yield Route("replace", ONE, "PUT", access.change, replaced(views.replace))
    changed = operation(
        body=_distinct(views.patches.values()),
        rules=resource.rules,
        headers=CHANGE_HEADERS,
        answers=shown,
        problems=writing,
    )
    if resource.change:
        yield Route("change", ONE, "PATCH", access.change, changed(views.change))
    gone = {204: Answer(description="It is deleted")}
    deleted = operation(headers=CHANGE_HEADERS, answers=gone, problems=(403, 404, 409, 412))
    yield Route("delete", ONE, "DELETE", access.delete, deleted(views.delete))


def throttled(resource: Resource) -> tuple[int, ...]:
    """429 where there are unique values: tries to take them are counted (creation.py)."""
    return (429,) if resource.unique else ()


def created_often(resource: Resource) -> tuple[int, ...]:
    """The same for creations, which may have a rate of their own."""
    return (429,) if resource.rate else throttled(resource)


def attached(
    routes: Iterable[Route], resource: Resource, views: AttachmentViews, settings: Settings
) -> Iterator[Route]:
    """The routes of a resource whose documents have a file."""
    assert resource.attachment is not None  # noqa: S101 - for the type checker
    assert resource.create is not None  # noqa: S101
    file, access = resource.attachment, resource.access
    slow = settings.upload_deadline + settings.request_deadline
    created = operation(
        body=(form_shape(file, resource.create),),
        rules=resource.rules,
        media=files.MEDIA,
        headers=REQUEST_HEADERS,
        guard=views.guard,
        answers={201: Answer(shape=resource.read, headers=ANSWER_HEADERS)},
        problems=(403, 408, 409, 410, 413, 415, 429),
        body_limit=settings.upload_limit + settings.body_limit,
        deadline=slow,
    )
    fetched = operation(
        headers={conditions.IF_NONE_MATCH: "Only if the file is another one (entity tags)"},
        answers={
            200: Answer(shape=bytes, media=tuple(file.types), headers=FILE_HEADERS),
            304: Answer(description="The file is the same still"),
        },
        problems=(403, 404),
        deadline=slow,
    )
    for route in routes:
        if route.name == "create":
            yield route._replace(view=_named(created(views.create), resource.name))
        elif route.name == "delete":
            yield route._replace(view=_around(views.delete, route.view))
        else:
            yield route
    view = _named(fetched(views.fetch), resource.name)
    yield Route(file.field, f"{ONE}/{file.field}", "GET", access.get, view)


def _around(outer: Callable[..., Response], view: View) -> View:
    """`outer`, which calls the view; with the view's declaration."""

    @wraps(view)
    def both(**arguments: Any) -> Response:
        return outer(view, **arguments)

    return both


def _distinct(found: Iterable[type[msgspec.Struct]]) -> tuple[type[msgspec.Struct], ...]:
    return tuple(dict.fromkeys(found))


def _named(view: View, name: str) -> View:
    """The view, with the resource's name in what describes it."""
    found = of(view)
    assert found is not None  # noqa: S101 - each is declared above
    texts = {"summary": found.summary, "details": found.details}
    named = {key: text.replace("{name}", name) for key, text in texts.items()}
    view.operation = msgspec.structs.replace(found, **named)  # type: ignore[attr-defined]
    return view


def _telling(view: View, rule: Who) -> View:
    """The view, which tells whom it admits."""
    found = of(view)
    assert found is not None  # noqa: S101 - each is declared above
    told = msgspec.structs.replace(found, who=rule.name.lower())
    view.operation = told  # type: ignore[attr-defined]
    return view


def _guarded(resource: Resource, route: Route) -> Route:
    """The route, which says what of it needs a fresh log-in."""
    found = of(route.view)
    if found is None or not resource.guarded or route.name not in ("replace", "change", "delete"):
        return route
    names = [f"`{name}`" for name in resource.guarded]
    fields = "deletion" if route.name == "delete" else "changes of " + ", ".join(names)
    more = GUARDED.replace("{fields}", fields)
    said = msgspec.structs.replace(found, details=found.details + more)
    route.view.operation = said  # type: ignore[attr-defined]
    return route

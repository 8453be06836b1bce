"""The routes of a resource, made from its declaration."""

from typing import Annotated

import msgspec
from bson import ObjectId
from bson.errors import InvalidId
from flask import Blueprint, Response, url_for

from api.crud.access import Who, admit, principal
from api.crud.declaration import Resource
from api.settings import Settings
from api.store import Document, Store
from api.web import body
from api.web.problems import ProblemError, in_query, invalid


class PageQuery(msgspec.Struct):
    """How much of a list, and from where on."""

    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    after: str | None = None


class Routes:
    """Views of one resource: list, create, get, change, delete."""

    def __init__(self, resource: Resource, store: Store, settings: Settings) -> None:
        self._resource = resource
        self._documents = resource.documents(store)
        self._settings = settings
        assert resource.create is not None  # noqa: S101
        self._create = resource.create
        body.prepare(PageQuery, resource.create, *resource.change.values())

    def list(self) -> Response:
        """A page in the order of ids. `next` is the `after` of the next page; null at the end."""
        admit(self._resource.access.list)
        asked = body.query(PageQuery)
        limit = min(asked.limit or self._settings.page_size, self._settings.page_size_limit)
        after = None
        if asked.after is not None:
            after = object_id(asked.after)
            if after is None:
                raise invalid(in_query("after", "Give the `next` of the page before."))
        # One more than asked for tells whether there is a next page, without a count.
        found = self._documents.page(
            self._resource.shown, limit + 1, after=None if after is None else (after, after)
        )
        items = [self._resource.show_projected(document) for document in found[:limit]]
        return body.reply({"items": items, "next": items[-1]["id"] if found[limit:] else None})

    def create(self) -> Response:
        """A new document."""
        admit(self._resource.access.create)
        return self.created(body.read(self._create, self._resource.rules))

    def get(self, document_id: str) -> Response:
        """One document."""
        found = self._reach(document_id, self._resource.access.get)
        own = principal().own(self._resource.name, found)
        return self._show(own or self._documents.get(found, self._resource.shown))

    def change(self, document_id: str) -> Response:
        """Change the fields the body names."""
        found = self._reach(document_id, self._resource.access.change)
        shape = self._resource.change[principal().role]
        changes = self._resource.prepare(body.read(shape, self._resource.rules))
        return self._show(
            self._documents.change(found, changes) if changes else self._documents.get(found)
        )

    def delete(self, document_id: str) -> Response:
        """Delete one document."""
        found = self._reach(document_id, self._resource.access.delete)
        if not self._documents.delete(found):
            raise missing()
        return Response(status=204)

    def created(self, fields: Document) -> Response:
        """Create from valid fields, and answer 201 with the address."""
        resource = self._resource
        document = self._documents.create({**resource.prepare(fields), **resource.defaults()})
        where = url_for(f"{resource.name}.get", document_id=str(document["_id"]))
        return body.reply(resource.show(document), 201, {"Location": where})

    def _reach(self, text: str, rule: Who) -> ObjectId:
        """The id in the address, if the principal may know of it."""
        found = object_id(text)
        if found is None or not admit(rule, found):
            raise missing()
        return found

    def _show(self, document: Document | None) -> Response:
        if document is None:
            raise missing()
        return body.reply(self._resource.show(document))


def missing() -> ProblemError:
    """404: there is no such document, or none the principal may know of."""
    return ProblemError(404, "There is no document with this id.", kind="missing")


def object_id(text: str) -> ObjectId | None:
    """An id from an address or query; None if it is none."""
    try:
        return ObjectId(text)
    except InvalidId:
        return None


def blueprint(resource: Resource, store: Store, settings: Settings) -> Blueprint:
    """The routes, to be registered under the API's prefix."""
    made = Blueprint(resource.name, __name__)
    routes = Routes(resource, store, settings)
    one = "/<document_id>"
    made.add_url_rule("", "list", routes.list, methods=["GET"])
    made.add_url_rule("", "create", routes.create, methods=["POST"])
    made.add_url_rule(one, "get", routes.get, methods=["GET"])
    made.add_url_rule(one, "change", routes.change, methods=["PATCH"])
    made.add_url_rule(one, "delete", routes.delete, methods=["DELETE"])
    return made

"""The views of a resource: list, create, get, replace, change, delete."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import msgspec
from bson import ObjectId
from flask import Response

from api.crud import lists, replay, rules, shapes, values
from api.crud.access import principal, want_fresh_log_in
from api.crud.audit import Trail
from api.crud.creation import Creation
from api.crud.lists import Asked, Lists
from api.crud.references import References
from api.crud.replay import REPLAYED, Once
from api.crud.resource import Resource
from api.crud.rules import check_change
from api.crud.values import object_id
from api.crud.visibility import Target, Visibility
from api.settings import Settings
from api.store import Document, Store, VersionMovedError
from api.store import replay as receipts
from api.store.document import Versions
from api.store.replay import Keyed, Receipt
from api.web import body as bodies
from api.web import conditions
from api.web.problems import ProblemError, in_body

PATCH_MEDIA = (bodies.JSON, bodies.MERGE_PATCH)


def expected() -> Versions:
    """The versions at which the request's conditions let a document be written."""
    match, none_match = conditions.given()
    only = None if match is None or match.all else match.strong
    if none_match is None:
        return Versions(only)
    # `*` matches whatever is there, so nothing may be written.
    return Versions(frozenset()) if none_match.all else Versions(only, none_match.either)


def _moved(fields: Iterable[str], present: Document, given: Document) -> list[str]:
    """Which of these fields are given, and not as they are."""
    return [one for one in fields if one in given and given[one] != present.get(one)]


class Views:
    """Views of one resource. Which of them have a route, its access says."""

    def __init__(
        self,
        resource: Resource,
        store: Store,
        settings: Settings,
        trail: Trail,
        references: References,
    ) -> None:
        self._resource = resource
        self._documents = resource.documents(store)
        self._trail = trail
        self.references = references
        self._fresh_login = settings.fresh_login
        self.lists = Lists(resource, settings)
        self._visibility = Visibility(resource, self._documents)
        self.creation = Creation(resource, store, settings, trail, references)
        self._once = Once(store, settings)
        self.replacements = shapes.replacements(resource.declared, resource.change)
        self.patches = shapes.patches(resource.change)

    def list(self, query: msgspec.Struct) -> Response:
        """List {name}, page by page.

        Filters apply all together. The order is total, and pages stay whole while documents come
        and go: none is shown twice. `next` is the `after` of the next page, null at the end.
        """
        rule = self._resource.access.list
        asked = self.lists.ask(query, self._visibility.narrow(rule, self.lists.where(query)))
        found = self._documents.page(
            (*asked.fields, values.top(asked.sort[0])),
            asked.limit + 1,  # one more tells whether there is a next page, without a count
            where=asked.where,
            sort=asked.sort,
            after=asked.after,
        )
        return self._page(asked, found)

    def get(self, document_id: str) -> Response:
        """Get one of {name} by its id."""
        document = self._visibility.read(document_id, self._resource.shown)
        if conditions.unmodified(document["version"]):
            return Response(status=304, headers={"ETag": bodies.tag(document["version"])})
        return self._show(document)

    def replace(self, document_id: str) -> Response:
        """Replace what can be edited of one of {name}.

        What the body leaves out is removed, or gets its default. A state that it leaves out, or
        that the document is in, stays.
        """
        target = self._visibility.target(document_id, self._resource.access.change)
        given = bodies.read(self.replacements[principal().role], self._resource.rules)
        return self._write(document_id, target, given, whole=True)

    def change(self, document_id: str) -> Response:
        """Change the fields of one of {name} that the body names.

        A JSON merge patch (RFC 7396): null removes a field. Objects are merged, lists replaced.
        """
        target = self._visibility.target(document_id, self._resource.access.change)
        shape = self.patches[principal().role]
        return self._write(
            document_id, target, bodies.read(shape, self._resource.rules, PATCH_MEDIA)
        )

    def delete(self, document_id: str) -> Response:
        """Delete one of {name}."""
        gone = Response(status=204)
        ticket = self._once.begin({}, partial(self._was_deleted, document_id))
        if ticket is not None and ticket.done:
            gone.headers[REPLAYED] = "true"
            return gone
        receipt = replay.receipt(ticket, {})
        with self._once.holding(ticket):
            try:
                self._delete(document_id, receipt)
            except (ProblemError, VersionMovedError):
                if self._made_before(document_id, receipt) is None:
                    raise
        return gone

    def _delete(self, document_id: str, receipt: Receipt) -> None:
        rule = self._resource.access.delete
        target = self._visibility.target(document_id, rule)
        self._spare_oneself(target)
        self._guard(target)
        self.references.before_deletion(target.id)
        with self._recorded("delete", target.id):
            if not self._documents.delete(
                target.id, expected(), where=target.where, receipt=receipt
            ):
                raise self._visibility.refused(document_id, rule)
        self.references.after_deletion(target.id)

    def _was_deleted(self, document_id: str, key: str, effect: ObjectId) -> bool:
        """Whether this try deleted it. What the principal cannot reach is gone, or never was."""
        receipt, documents = Keyed(key, effect), self._documents.collection
        try:
            target = self._visibility.target(document_id, self._resource.access.delete)
        except ProblemError:
            return self._made_before(document_id, receipt) is not None
        return not receipts.fence(documents, target.id, receipt, target.where)

    def _write(
        self, document_id: str, target: Target, given: Document, *, whole: bool = False
    ) -> Response:
        def took_effect(key: str, effect: ObjectId) -> bool:
            receipt, documents = Keyed(key, effect), self._documents.collection
            return not receipts.fence(documents, target.id, receipt, target.where)

        ticket = self._once.begin(given, took_effect)
        if ticket is not None and ticket.done:
            return self._replayed(document_id, target)
        receipt = replay.receipt(ticket, given)
        with self._once.holding(ticket):
            try:
                changed = self._changed(document_id, target, given, receipt, whole=whole)
            except (ProblemError, VersionMovedError):
                made = self._made_before(document_id, receipt, target.where)
                if made is None:
                    raise
                changed = made
        if ticket is not None:
            self._once.keys.settle(self._documents.collection, changed, target.where)
        return self._show(changed)

    def _changed(
        self, document_id: str, target: Target, given: Document, receipt: Receipt, *, whole: bool
    ) -> Document:
        """`whole`: what is given replaces the document, so states in it may be the present ones."""
        self._guard(target, given)
        patches = {} if whole else values.objects(self._resource.kinds, given)
        others = {name: value for name, value in given.items() if name not in patches}
        changes, stated = (
            self._resource.changing(self._resource.converted(others)),
            self._resource.states,
        )
        versions = expected()
        kept: Document = {}
        if whole and rules.state_condition(stated, changes):
            kept = rules.states_kept(stated, changes, self._unchanged(target, versions) or {})
            changes = {name: value for name, value in changes.items() if name not in kept}
        check = check_change(self._resource.constraints, changes, patches)
        self.references.check(changes)
        states = {**kept, **rules.state_condition(stated, changes)}
        changes.update(rules.state_stamps(stated, changes))
        where = {**target.where, **states}

        def merged(document: Document) -> Document:
            made = values.merged(self._resource.kinds, patches, document)
            return {**changes, **self._resource.changing(made)}

        with self._recorded("change", target.id, values.names(given, patches)):
            self._spare_oneself(target, given)
            changed = (
                self._documents.change(
                    target.id,
                    merged if patches else changes,
                    versions,
                    where=where,
                    check=check,
                    receipt=receipt,
                )
                if changes or patches
                else self._unchanged(target, versions)
            )
            if changed is None:
                raise self._refused(document_id, target, versions, {**kept, **changes})
        return changed

    def _replayed(self, document_id: str, target: Target) -> Response:
        """What the first request with the key left, as it is now."""
        found = self._documents.get(target.id, self._resource.shown, target.where)
        if found is None:
            raise self._visibility.refused(document_id, self._resource.access.change)
        shown = self._show(found)
        shown.headers[REPLAYED] = "true"
        return shown

    def _guard(self, target: Target, given: Document | None = None) -> None:
        """Want a fresh log-in from whoever changes a guarded field of its own account (to what it
        is not already), or, without `given`, deletes it.
        """
        mine, guarded = principal().own(self._resource.name, target.id), self._resource.guarded
        if mine is None or not guarded:
            return
        if given is None or _moved(guarded, mine, given):
            want_fresh_log_in(self._fresh_login)

    def _spare_oneself(self, target: Target, given: Document | None = None) -> None:
        """Raise 409 where an administrator would shut itself out: so the last one stays, too.

        Only two who do it to each other in the same instant can both succeed: that is two
        documents, and no transaction spans them. `python -m api create-admin --promote` mends it.
        """
        who, fields = principal(), self._resource.not_oneself
        mine = who.own(self._resource.name, target.id) if fields and who.is_admin else None
        if mine is None:
            return
        if given is None:
            detail = "Administrators cannot delete themselves. Let another one do it."
            raise ProblemError(409, detail, kind="own-account")
        moved = _moved(fields, mine, given)
        if moved:
            detail = "Administrators cannot do this to themselves. Let another one do it."
            raise rules.conflict(*(in_body(field, detail) for field in moved))

    def _refused(
        self, document_id: str, target: Target, versions: Versions, changes: Document
    ) -> ProblemError:
        """Why a change met no document."""
        stated = self._resource.states
        found = (
            self._unchanged(target, versions) if rules.state_condition(stated, changes) else None
        )
        if found is not None:
            return rules.state_refused(stated, changes, found)
        return self._visibility.refused(document_id, self._resource.access.change)

    def _made_before(
        self, document_id: str, receipt: Receipt, where: Document | None = None
    ) -> Document | None:
        """What this very request left when it came first; None: it never took effect."""
        chosen = object_id(document_id)
        if receipt is None or chosen is None:
            return None
        return receipts.find(self._documents.collection, chosen, receipt, where or {})

    def _unchanged(self, target: Target, versions: Versions) -> Document | None:
        found = self._documents.get(target.id, self._resource.shown, target.where)
        if found is not None and not versions.admit(found["version"]):
            raise VersionMovedError
        return found

    def _recorded(
        self, what: str, target: ObjectId, fields: Iterable[str] = ()
    ) -> AbstractContextManager[None]:
        """Administrators' changes go into the audit trail, before they are made."""
        who = principal()
        if not who.is_admin:
            return nullcontext()
        event = f"{self._resource.name}.{what}"
        return self._trail.recorded(event, actor=who.id, target=target, fields=fields)

    def _show(self, document: Document) -> Response:
        tag = bodies.tag(document["version"])
        return bodies.reply(self._resource.show(document), headers={"ETag": tag})

    def _page(self, asked: Asked, found: Sequence[Document]) -> Response:
        """The page of what was found: one document more than asked for, if there is a next page."""
        items, more = found[: asked.limit], found[asked.limit :]
        cursor = self.lists.following(asked, items[-1]) if more else None
        shown = (
            [self._resource.show_chosen(document, asked.chosen) for document in items]
            if asked.chosen
            else [self._resource.show_projected(document) for document in items]
        )
        headers = {"Link": lists.link(cursor)} if cursor else {}
        return bodies.reply({"items": shown, "next": cursor}, headers=headers)

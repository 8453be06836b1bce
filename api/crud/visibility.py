"""Which documents of a resource the principal can reach: by id, and in lists.

What it may not know of is missing: 404, the same as for what is not there. Where ownership can be
part of the statement that reads or writes, it is, so that it holds at that very moment.

Where documents are spread by owner, the principal's own are on one shard, and asked for there
first; what it reaches as a member or administrator is looked for on every shard.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bson import ObjectId

from api.crud.access import Who, acting, admit, principal
from api.crud.resource import Resource
from api.crud.values import object_id
from api.store import Document, Documents
from api.store.feed import Readers
from api.store.pages import also
from api.web.problems import ProblemError


def readers(resource: Resource) -> Readers:
    """Who besides administrators may read the documents of a resource."""
    match resource.access.get:
        case Who.ANYONE | Who.USER:
            return Readers(everybody=True)
        case Who.OWNER | Who.MEMBER as rule:
            members = resource.members if rule is Who.MEMBER else None
            return Readers(tuple(filter(None, (resource.owner, members))))
        case _:
            return Readers()


class Target(NamedTuple):
    """A document to be written: its id, and what must hold of it besides."""

    id: ObjectId
    where: Document


def missing() -> ProblemError:
    """404: there is no such document, or none the principal may know of."""
    return ProblemError(404, "There is no document with this id.", kind="missing")


class Visibility:
    """Finds the documents of one resource."""

    def __init__(self, resource: Resource, documents: Documents) -> None:
        self._resource = resource
        self._documents = documents
        self._by_owner = bool(resource.key_fields)  # the shard key is more than `_id`

    def read(self, text: str, fields: Sequence[str] | None) -> Document:
        """The document at this address. Raises 404."""
        rule = self._resource.access.get
        admit(rule)
        document_id = _id(text)
        who = acting()
        own = who.own(self._resource.name, document_id) if who is not None else None
        found = own or self._find(document_id, rule, fields)
        if found is None:
            raise missing()
        return found

    def target(self, text: str, rule: Who) -> Target:
        """What a write by id concerns. Whether the document is there shows when it is written,
        except where its shard key must be read first; then, 404.
        """
        admit(rule)
        document_id = _id(text)
        if not self._by_owner:
            return Target(document_id, self._ownership(document_id, rule))
        if rule is Who.OWNER and not principal().is_admin:
            return Target(document_id, self._ownership(document_id, rule))
        keys = self._resource.key_fields
        found = self._find(document_id, rule, keys)
        if found is None:
            raise self.refused(text, rule)
        return Target(document_id, {key: found[key] for key in keys})

    def refused(self, text: str, rule: Who) -> ProblemError:
        """Why a write found nothing: 403 for who may read the document, 404 for all others."""
        readers = self._resource.access.get
        if readers is not rule and readers is not Who.ADMIN:
            found = object_id(text)
            if found is not None and self._find(found, readers, ()) is not None:
                detail = "You may read this document, and only its owner may change it."
                return ProblemError(403, detail, kind="forbidden")
        return missing()

    def narrow(self, rule: Who, where: Document) -> Document:
        """The part of a list that the principal may see."""
        admit(rule)
        owner, members = self._resource.owner, self._resource.members
        if rule not in (Who.OWNER, Who.MEMBER) or owner is None or principal().is_admin:
            return where
        me = principal().id
        if rule is Who.MEMBER and members and where.get(members, {}).get("$eq") == me:
            return where
        return where if where.get(owner, {}).get("$eq") == me else also(where, {owner: me})

    def _find(
        self, document_id: ObjectId, rule: Who, fields: Sequence[str] | None
    ) -> Document | None:
        if self._by_owner and rule is Who.MEMBER and not principal().is_admin:
            owner, members = str(self._resource.owner), str(self._resource.members)
            for where in ({owner: principal().id}, {members: principal().id}):
                found = self._documents.get(document_id, fields, where)
                if found is not None:
                    return found
            return None
        return self._documents.get(document_id, fields, self._ownership(document_id, rule))

    def _ownership(self, document_id: ObjectId, rule: Who) -> Document:
        """The condition under which the rule admits the principal."""
        if rule not in (Who.OWNER, Who.MEMBER) or principal().is_admin:
            return {}
        me, owner, members = principal().id, self._resource.owner, self._resource.members
        if owner == "_id":
            if document_id != me:
                raise missing()
            return {}
        mine: list[Document] = [] if owner is None else [{owner: me}]
        if rule is Who.MEMBER and members is not None:
            mine.append({members: me})
        if not mine:
            raise missing()
        return mine[0] if len(mine) == 1 else {"$or": mine}


def _id(text: str) -> ObjectId:
    found = object_id(text)
    if found is None:
        raise missing()
    return found

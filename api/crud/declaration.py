"""What a resource declares. Everything else (routes, schema, claims) is made from it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec
from flask import Blueprint

from api.crud import consistency, values
from api.crud.access import Access, Role, Who
from api.crud.attachments import Attachment
from api.crud.transitions import Transition
from api.settings import Settings
from api.store import Document, Documents, Store, Unique
from api.store.replay import DELETED, DELETED_KEPT
from api.web.body import Rules

ORDERED = ("eq", "gt", "gte", "lt", "lte", "in")
TEXT = ("eq", "in", "prefix")
EXACT = ("eq", "in")


def unchanged(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as they are."""
    return fields


class Index(msgspec.Struct, frozen=True):
    """An index beside those that sharding makes.

    ttl     seconds after the time in its one field at which documents go
    sparse  holds only documents that have the field
    only    holds only documents with these values
    """

    keys: tuple[tuple[str, int | str], ...]
    ttl: int | None = None
    sparse: bool = False
    only: Mapping[str, Any] | None = None


TOMBSTONES = Index(((DELETED, 1),), ttl=DELETED_KEPT, sparse=True)
"""What deletions leave goes after a while; documents are not in it, and cost nothing."""


class Constraint(msgspec.Struct, frozen=True):
    """A rule over several fields of a document, whichever of them a request changes.

    `faults` gets the document as it would be stored, and returns a sentence per field at fault;
    dots in its name lead into objects (`address.city`, `lines.2.price`).
    """

    fields: tuple[str, ...]
    faults: Callable[[Mapping[str, Any]], dict[str, str]]


class Resource(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A kind of document and how the world may deal with it.

    name        collection, and last part of the address: /api/v1/<name>
    create      struct of a body that creates one; what is required here is required by PUT
    change      struct of a PATCH body, by the role of who sends it
    read        struct of what is shown; `id` stands for `_id`
    unique      fields no two documents share, in the order they are claimed
    rules       normal form of text fields: text in, text out, ValueError with a sentence; also of
                those in objects (`address.city`), and of all texts in a list
    access      who may do what; what nobody may has no route
    prepare     from valid fields to stored fields (a password becomes its hash)
    defaults    stored fields of a new document that no body can set
    shard_key   how documents are spread; with a unique field it must be the hashed `_id`
    guarded     fields of one's own account that only a fresh log-in may change; with any, only
                a fresh log-in may delete it
    owner       the field with the id of the user who owns a document, the shard key's first;
                `_id` where documents are the users; None where administrators own all
    members     the field with the ids of further users who may read a document
    filters     fields that lists can be filtered by, and by which operators; `address.city` too
    sorts       fields that lists can be sorted by, besides `created_at`; every document has them
    rare        of filters with few values, the rare one: only it is worth an entry in an index
    indexes     besides those that filters and sorts get by themselves
    constraints rules over several fields at once
    transitions fields that are states, and which may follow which
    attachment  the file that each document has
    extend      makes further routes below the resource's address
    """

    name: str
    read: type[msgspec.Struct]
    create: type[msgspec.Struct] | None = None
    change: Mapping[Role, type[msgspec.Struct]] = msgspec.field(default_factory=dict)
    unique: tuple[Unique, ...] = ()
    rules: Rules = msgspec.field(default_factory=dict)
    access: Access = Access()
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = unchanged
    defaults: Callable[[], dict[str, Any]] = dict
    shard_key: Mapping[str, str | int] = msgspec.field(default_factory=lambda: {"_id": "hashed"})
    guarded: tuple[str, ...] = ()
    owner: str | None = None
    members: str | None = None
    filters: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    sorts: tuple[str, ...] = ()
    rare: Mapping[str, Any] = msgspec.field(default_factory=dict)
    indexes: tuple[Index, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    transitions: tuple[Transition, ...] = ()
    attachment: Attachment | None = None
    extend: "Callable[[Blueprint, Resource, Store, Settings], None] | None" = None

    def __post_init__(self) -> None:
        """Refuse what could not work, at import."""
        consistency.check(self)

    def documents(self, store: Store) -> Documents:
        """Its documents in a store."""
        return Documents(store, self.name, self.unique)

    @cached_property
    def sortable(self) -> tuple[str, ...]:
        """All fields that lists can be sorted by."""
        return tuple(dict.fromkeys(("created_at", *self.sorts)))

    @cached_property
    def all_indexes(self) -> tuple[Index, ...]:
        """Those declared, and one per field that lists are filtered, sorted or narrowed by.

        Each ends in `_id`, as pages do. A field of the shard key has the index of that.
        """
        listed = () if self.access.list is Who.NOBODY else (*self.sortable, *self.filters)
        if self.access.list in (Who.OWNER, Who.MEMBER):
            listed += tuple(
                name for name in (self.owner, self.members) if name not in (None, "_id")
            )
        fields = (name for name in dict.fromkeys(listed) if name not in self.key_fields)
        made = (Index(((name, 1), ("_id", 1)), only=self._only(name)) for name in fields)
        gone = () if self.access.delete is Who.NOBODY else (TOMBSTONES,)
        return (*made, *gone, *self.indexes)

    def _only(self, name: str) -> dict[str, Any] | None:
        return {name: self.rare[name]} if name in self.rare else None

    @cached_property
    def kinds(self) -> dict[str, Any]:
        """The types of all fields that are shown, and of those that a body can set."""
        shapes = [self.read, *([] if self.create is None else [self.create]), *self.change.values()]
        found = {name: kind for shape in shapes for name, kind in values.hints(shape).items()}
        return {name: values.without_unset(kind) for name, kind in found.items()}

    @cached_property
    def conversions(self) -> dict[str, values.Stored]:
        """What makes the stored form of a field's value, where that is another one."""
        return values.conversions(self.kinds)

    @cached_property
    def key_fields(self) -> tuple[str, ...]:
        """The fields of the shard key besides `_id`: a write by id needs them, too."""
        return tuple(field for field in self.shard_key if field != "_id")

    def stored(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a body as they are stored."""
        return self.prepare(values.stored(given, self.conversions))

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The stored fields that are read to show a document; `_id` comes by itself."""
        return tuple(name for name in self.read.__struct_fields__ if name != "id")

    @cached_property
    def _empty(self) -> dict[str, Any]:
        return dict.fromkeys(self.read.__struct_fields__)

    @cached_property
    def _outside(self) -> dict[str, values.Stored]:
        by = values.shown_by(values.hints(self.read))
        return {name: show for name, show in by.items() if name != "id"}

    def show(self, document: Document) -> dict[str, Any]:
        """A whole document as the outside sees it: what `read` names, null where there is none."""
        shown = {field: document.get(field) for field in self.read.__struct_fields__}
        shown["id"] = str(document["_id"])
        return self._shown(shown)

    def show_projected(self, document: Document) -> dict[str, Any]:
        """The same of a document read with the fields `shown`: cheaper, for pages."""
        document["id"] = str(document.pop("_id"))
        return self._shown({**self._empty, **document})

    def show_chosen(self, document: Document, chosen: tuple[str, ...]) -> dict[str, Any]:
        """`id` and the chosen fields of a document."""
        shown = {field: document.get(field) for field in chosen}
        return self._shown({"id": str(document["_id"]), **shown})

    def _shown(self, fields: Document) -> dict[str, Any]:
        for name, show in self._outside.items():
            if fields.get(name) is not None:
                fields[name] = show(fields[name])
        return fields

    def open_to_all(self) -> list[str]:
        """The endpoints that need no token; each must be on the gate's public list, too."""
        rules = msgspec.structs.asdict(self.access)
        return [f"{self.name}.{verb}" for verb, who in rules.items() if who is Who.ANYONE]

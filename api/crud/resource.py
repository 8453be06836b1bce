"""What a resource declares. Everything else (routes, schema, claims) is made from it.

Whether a declaration can work, consistency.py says.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from api.crud import fields, shapes, values
from api.crud.access import Access, Role, Who
from api.crud.fields import (
    FRESH_LOGIN,
    MEMBERS,
    NOT_ONESELF,
    OWNER,
    Attachment,
    Field,
    Mark,
    OnDelete,
    Reference,
    Shape,
    StoredAs,
    UniqueBy,
)
from api.crud.rules import Constraint, States
from api.store import Document, Documents, Store, Unique
from api.store.replay import DELETED, DELETED_KEPT
from api.web import text as texts
from api.web.body import Rules

ORDERED = ("eq", "gt", "gte", "lt", "lte", "in")
TEXT = ("eq", "in", "prefix")
EXACT = ("eq", "in")


def nothing(_changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes nothing along with these changes."""
    return {}


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


class Resource(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A kind of document and how the world may deal with it.

    name        collection, and last part of the address: /api/v1/<name>
    fields      struct of a document, its fields marked for what they are (fields.py). `id`,
                `version`, `created_at` and `updated_at` come by themselves. The bodies that create,
                change and replace one, and what is shown, are made from it.
    access      who may do what; what nobody may has no route
    rate        settings that bound how much of it is created: `feedback` stands for
                feedback_rate_address and, where there is one, feedback_rate_account
    notes       more to say in the description of the bodies that "create" and "change"
    shard_key   how documents are spread; with a unique field it must be the hashed `_id`
    filters     fields that lists can be filtered by, and by which operators; `address.city` too
    sorts       fields that lists can be sorted by, besides `created_at`; every document has them.
                Texts that people write are sorted, and found by how they begin, as people do it:
                capitals and accents make no difference (`folded`)
    rare        of filters with few values, the rare one: only it is worth an entry in an index
    indexes     besides those that filters and sorts get by themselves
    constraints rules over several fields together
    along       of a change, as it is stored: what other stored fields change with it
    accounts    whether the documents are the users: each owns itself
    """

    name: str
    fields: Shape
    access: Access = Access()
    rate: str = ""
    notes: Mapping[str, str] = msgspec.field(default_factory=dict)
    shard_key: Mapping[str, str | int] = msgspec.field(default_factory=lambda: {"_id": "hashed"})
    filters: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    sorts: tuple[str, ...] = ()
    rare: Mapping[str, Any] = msgspec.field(default_factory=dict)
    indexes: tuple[Index, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    along: Callable[[Mapping[str, Any]], dict[str, Any]] = nothing
    accounts: bool = False

    # What follows from the fields.

    @cached_property
    def declared(self) -> tuple[Field, ...]:
        """The fields, with their marks."""
        return fields.declared(self.fields)

    def _marked(self, mark: Mark) -> tuple[str, ...]:
        return tuple(one.name for one in self.declared if mark in one.flags)

    @cached_property
    def create(self) -> Shape | None:
        """The body that creates a document; what is required here is required by PUT."""
        return shapes.creation(self.fields, self.declared, self.notes.get("create", ""))

    @cached_property
    def change(self) -> Mapping[Role, Shape]:
        """The body of a PATCH, by the role of who sends it."""
        note = self.notes.get("change", "")
        return shapes.changes(self.fields, self.declared, self.access.change, note)

    @cached_property
    def read(self) -> Shape:
        """What is shown of a document; `id` stands for `_id`."""
        changing = self.access.change is not Who.NOBODY
        return shapes.shown(self.fields, self.declared, changing)

    @cached_property
    def rules(self) -> Rules:
        """The rules for texts, by the dotted name of the field."""
        return dict(_rules(self.fields))

    @cached_property
    def unique(self) -> tuple[Unique, ...]:
        """Fields no two documents share, in the order in which they are claimed, that of names."""
        file = self.attachment
        found = [Unique(file.digest_field)] if file is not None and file.unique else []
        for one in self.declared:
            mark = one.of(UniqueBy)
            if mark is not None:
                found.append(Unique(one.name, mark.key))
        return tuple(sorted(found, key=lambda one: one.field))

    @cached_property
    def guarded(self) -> tuple[str, ...]:
        """Fields of one's own account that only a fresh log-in may change, or delete."""
        return self._marked(FRESH_LOGIN)

    @cached_property
    def not_oneself(self) -> tuple[str, ...]:
        """Fields that administrators do not change of their own account, nor delete that."""
        return self._marked(NOT_ONESELF)

    @cached_property
    def owner(self) -> str | None:
        """The field with the id of the user who owns a document; None: administrators own all."""
        return "_id" if self.accounts else next(iter(self._marked(OWNER)), None)

    @cached_property
    def is_owned(self) -> bool:
        """Whether a field names the owner."""
        return self.owner not in (None, "_id")

    @cached_property
    def members(self) -> str | None:
        """The field with the ids of further users who may read a document."""
        return next(iter(self._marked(MEMBERS)), None)

    @cached_property
    def states(self) -> Mapping[str, States]:
        """By field, for the fields that are states: which state may follow which."""
        found = {one.name: one.of(States) for one in self.declared}
        return {name: states for name, states in found.items() if states is not None}

    @cached_property
    def references(self) -> Mapping[str, Reference]:
        """The fields that lead to documents of other resources."""
        found = {one.name: one.of(Reference) for one in self.declared}
        return {name: mark for name, mark in found.items() if mark is not None}

    @cached_property
    def attachment(self) -> Attachment | None:
        """The file that each document has."""
        for one in self.declared:
            mark: Attachment | None = one.of(Attachment)
            if mark is not None:
                return msgspec.structs.replace(mark, field=one.name)
        return None

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        made = () if self.create is None else self.create.__struct_fields__
        begun = {one.name: one.begins() for one in self.declared if one.name not in made}
        return self.converted({name: one for name, one in begun.items() if one is not None})

    def defaults(self) -> dict[str, Any]:
        """Stored fields of a new document that no body can set."""
        return dict(self._defaults)

    @cached_property
    def _stored_as(self) -> dict[str, StoredAs]:
        found = {one.name: one.of(StoredAs) for one in self.declared}
        return {name: mark for name, mark in found.items() if mark is not None}

    def converted(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a body, each value in the form in which it is stored (values.py)."""
        by = self.conversions
        return {
            name: by[name](value) if name in by and value is not None else value
            for name, value in given.items()
        }

    def beginning(self, converted: Mapping[str, Any]) -> dict[str, Any]:
        """The stored fields of a new document with these."""
        return {**self._defaults, **self._kept(converted)}

    def changing(self, converted: Mapping[str, Any]) -> dict[str, Any]:
        """The stored fields of a change of these."""
        kept = self._kept(converted)
        return {**kept, **self.along(kept)}

    def _kept(self, converted: Mapping[str, Any]) -> dict[str, Any]:
        kept = dict(converted)
        for name, mark in self._stored_as.items():
            value = kept.pop(name, None)
            if value is not None:
                kept[mark.field] = mark.make(value)
        for name, place in self.folded.items():
            if values.top(name) in kept:
                text = values.within(kept, name)
                kept[place] = None if text is None else texts.search_key(text)
        return kept

    def documents(self, store: Store) -> Documents:
        """Its documents in a store."""
        return Documents(store, self.name, self.unique)

    @cached_property
    def sortable(self) -> tuple[str, ...]:
        """All fields that lists can be sorted by."""
        return tuple(dict.fromkeys(("created_at", *self.sorts)))

    @cached_property
    def folded(self) -> Mapping[str, str]:
        """By text that lists are sorted by, or filtered by how it begins: the field that stores
        its search key (texts.search_key).
        """
        begun = (name for name, operators in self.filters.items() if "prefix" in operators)
        return {
            name: f"{name.replace('.', '_')}_folded"
            for name in dict.fromkeys((*self.sorts, *begun))
            if texts.is_prose(self.rules.get(name))
        }

    @cached_property
    def all_indexes(self) -> tuple[Index, ...]:
        """Those declared, and one per field that lists are filtered, sorted or narrowed by.

        Each ends in `_id`, as pages do. A field of the shard key has the index of that. Of a text
        with a search key, that is indexed: it serves filters by the whole text as well.
        """
        listed = () if self.access.list is Who.NOBODY else (*self.sortable, *self.filters)
        if self.access.list in (Who.OWNER, Who.MEMBER):
            listed += tuple(
                name for name in (self.owner, self.members) if name not in (None, "_id")
            )
        listed += tuple(
            name for name, mark in self.references.items() if mark.on_delete is not OnDelete.KEEP
        )
        fields = (name for name in dict.fromkeys(listed) if name not in self.key_fields)
        made = (
            Index(((self.folded.get(name, name), 1), ("_id", 1)), only=self._only(name))
            for name in fields
        )
        gone = () if self.access.delete is Who.NOBODY else (TOMBSTONES,)
        return (*made, *gone, *self.indexes)

    def _only(self, name: str) -> dict[str, Any] | None:
        return {name: self.rare[name]} if name in self.rare else None

    @cached_property
    def kinds(self) -> dict[str, Any]:
        """The types of all fields, those that are shown and those that a body can set."""
        return {**values.hints(self.read), **{one.name: one.kind for one in self.declared}}

    @cached_property
    def conversions(self) -> dict[str, values.Stored]:
        """What makes the stored form of a field's value, where that is another one."""
        return values.conversions(self.kinds)

    @cached_property
    def key_fields(self) -> tuple[str, ...]:
        """The fields of the shard key besides `_id`: a write by id needs them, too."""
        return tuple(field for field in self.shard_key if field != "_id")

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
        """A document that was read with the fields `shown`, as the outside sees it: for pages."""
        document["id"] = str(document.pop("_id"))
        for place in self.folded.values():  # a page that is sorted by it has read it
            document.pop(place, None)
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


def _rules(shape: Shape, prefix: str = "") -> Iterator[tuple[str, Callable[[str], str]]]:
    """The rules of a struct's fields and of the objects in it, by dotted names."""
    for one in fields.declared(shape):
        found, inner = fields.rule(one.kind), values.innermost_struct(one.kind)
        if found is not None:
            yield f"{prefix}{one.name}", found
        elif inner is not None:
            yield from _rules(inner, f"{prefix}{one.name}.")

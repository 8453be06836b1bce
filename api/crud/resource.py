"""What a resource declares, and whether that can work: all else (routes, schema, claims) follows
from it.

A declaration that cannot work is refused at import: the sentence says what to change.
"""

import datetime
import decimal
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, get_args, get_origin

import msgspec
from flask import Blueprint

from api.crud import values
from api.crud.access import Access, Role, Who
from api.crud.rules import Constraint, Transition
from api.errors import ApiError
from api.settings import Settings
from api.store import Document, Documents, Store, Unique
from api.store.replay import DELETED, DELETED_KEPT
from api.web.body import Rules
from api.web.expected import plain
from api.web.files import FileType

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


class FileInfo(msgspec.Struct, kw_only=True):
    """A file as shown. `size` in bytes."""

    name: str
    type: str
    size: int


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """Declares a file that each document of a resource has.

    field   its name: the part of the form, the field that is shown (a `FileInfo`), and the last
            part of the address it is fetched from
    types   the media types it may be of, and how they look
    """

    field: str
    types: Mapping[str, FileType]

    @property
    def file_field(self) -> str:
        """The stored field with the file's id."""
        return f"{self.field}_file"

    @property
    def digest_field(self) -> str:
        """The stored field with the digest."""
        return f"{self.field}_digest"

    @property
    def unique(self) -> Unique:
        """To be declared where no two documents may have the same content."""
        return Unique(self.digest_field)


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
        check(self)

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


ALWAYS = frozenset({"_id", "version", "created_at", "updated_at"})  # in every document
HASHED_ID = {"_id": "hashed"}

# What BSON has no type for, or we no rules: `values.conversion` makes nothing of it.
UNSTORABLE = (
    msgspec.Struct, dict, set, frozenset, decimal.Decimal, uuid.UUID, datetime.time,
    datetime.timedelta,
)  # fmt: skip
IN_LISTS = frozenset({"eq", "in"})  # a range or prefix is two bounds, which two items could meet


class DeclarationError(ApiError):
    """A resource is declared in a way that cannot work."""


def check(resource: "Resource") -> None:
    """Raise DeclarationError if the parts of a declaration contradict each other."""
    for problem in _problems(resource):
        raise DeclarationError(f"resource {resource.name}: {problem}")


def _problems(resource: "Resource") -> Any:
    kinds = values.hints(resource.read)
    if resource.unique and dict(resource.shard_key) != HASHED_ID:
        yield (
            "it has unique fields, so its shard key must be the hashed _id: claims name an owner "
            "by _id alone (store/claims.py)"
        )
    if resource.owner not in (None, "_id") and resource.owner not in kinds:
        yield f"its owner, {resource.owner}, is no field of {resource.read.__name__}"
    bodies = [*([] if resource.create is None else [resource.create]), *resource.change.values()]
    for shape in (*bodies, resource.read):
        yield from _endless(shape)
    for shape in bodies:
        yield from _unstorable(shape)
        yield from _shown_otherwise(resource, shape, kinds)
    yield from _misnamed(resource, [*bodies, resource.read])
    for field, operators in resource.filters.items():
        yield from _unlisted(resource, field, operators)
    for field in resource.sorts:
        yield from _unlisted(resource, field, ())
        yield from _unsortable(resource, field)


def _endless(shape: type[msgspec.Struct], around: tuple[Any, ...] = ()) -> Any:
    for field, kind in values.hints(shape).items():
        inner = _object(kind)
        if inner is not None and inner in (*around, shape):
            name = inner.__name__
            yield f"{field} in {shape.__name__} holds {name} within itself: objects must end"
        elif inner is not None:
            yield from _endless(inner, (*around, shape))


def _unstorable(shape: type[msgspec.Struct]) -> Any:
    for field, kind in values.hints(shape).items():
        place = f"{field} in {shape.__name__}"
        inner = _object(kind)
        if inner is not None:
            yield from _unfit(inner, place)
            yield from _unstorable(inner)
        else:
            yield from (
                f"{place} holds {part.__name__}, which is not stored: give it fields of its own, "
                "or take text, numbers, dates, one kind of object, and lists of them"
                for part in _types(kind)
                if isinstance(part, type) and issubclass(part, UNSTORABLE)
            )


def _object(kind: Any) -> type[msgspec.Struct] | None:
    """The struct of an object, or of those in a list."""
    return values.struct(_innermost(kind))


def _innermost(kind: Any) -> Any:
    """The type itself, or that of the items of a list."""
    while (inner := values.item(kind)) is not None:
        kind = inner
    return kind


def _unfit(shape: type[msgspec.Struct], place: str) -> Any:
    """An object is read strictly, stored under the names it has, and can always be sent back."""
    name, config = shape.__name__, shape.__struct_config__
    if not config.forbid_unknown_fields:
        yield f"{place}: {name} takes fields that nobody knows: declare it forbid_unknown_fields"
    if config.array_like or config.tag is not None:
        yield f"{place}: {name} is array_like or tagged, and stored as neither: leave that out"
    for field in msgspec.structs.fields(shape):
        if field.name != field.encode_name:
            yield f"{place}: {name} renames {field.name}: objects are stored under their own names"
        if msgspec.UnsetType in _types(field.type):
            yield (
                f"{place}: {field.name} in {name} may be unset, which is shown as null: declare "
                "it `| None = None`. What a PATCH leaves out is no concern of a declaration"
            )


def _shown_otherwise(
    resource: "Resource", shape: type[msgspec.Struct], shown: dict[str, Any]
) -> Any:
    """What was shown could not be sent back."""
    for field, kind in values.hints(shape).items():
        if field in shown and _outline(kind) != _outline(shown[field]):
            yield (
                f"{field} has not the same form in {shape.__name__} and {resource.read.__name__}: "
                "objects have the same fields, lists are lists, and ids, dates and enums are these"
            )
        in_form = resource.attachment is not None and shape is resource.create
        if in_form and isinstance(_outline(kind), list | dict):
            yield f"{field} cannot be in a form, which has texts only, and files: leave it out"


def _outline(kind: Any) -> Any:
    """The form in which a value is stored: names of fields, what is a list, and conversions."""
    inner, shape = values.item(kind), values.struct(kind)
    if inner is not None:
        return [_outline(inner)]
    if shape is not None:
        return {name: _outline(one) for name, one in values.hints(shape).items()}
    return values.single(kind)


def _misnamed(resource: "Resource", shapes: list[type[msgspec.Struct]]) -> Any:
    roles = {
        "unique": [one.field for one in resource.unique],
        "in the shard key": resource.shard_key,
        "the owner or the members": [one for one in (resource.owner, resource.members) if one],
        "guarded": resource.guarded,
        "a state": [one.field for one in resource.transitions],
        "what a constraint names": [name for one in resource.constraints for name in one.fields],
    }
    for role, names in roles.items():
        for name in names:
            if "." in name:
                yield f"{name} is within an object, and cannot be {role}: only whole fields can"
    for one in resource.unique:
        if any(
            isinstance(_outline(values.hints(shape).get(one.field)), list | dict)
            for shape in shapes
        ):
            yield f"{one.field} is an object or a list, and cannot be unique: only texts can"
    for name in resource.rules:
        found = [at for shape in shapes if (at := values.leaf(shape, name)) is not None]
        if not any(plain(_innermost(at.kind)) is str for at in found):
            yield f"there is a rule for {name}, which is no text of any of its bodies"


def _types(kind: Any) -> Iterator[Any]:
    """All types that a type is made of."""
    origin, parts = get_origin(kind), get_args(kind)
    yield origin or kind
    for part in parts[:1] if origin is Annotated else parts:
        yield from _types(part)


def _unlisted(resource: "Resource", field: str, operators: tuple[str, ...]) -> Any:
    """Why lists cannot be filtered by these operators, or with none, sorted."""
    found, shape = values.leaf(resource.read, field), resource.read.__name__
    if found is None:
        yield f"{field} is no field of {shape}: lists filter and sort by these"
    elif _object(found.kind) is not None:
        yield f"{field} is an object in {shape}: lists filter and sort by a field in it"
    elif found.listed and not (operators and IN_LISTS.issuperset(operators)):
        yield f"{field} is a list in {shape}, or in one: lists filter it by eq and in, and no sort"


def _unsortable(resource: "Resource", field: str) -> Any:
    """A page begins behind a value; a document without it would be in no page (store/pages.py)."""
    found = values.leaf(resource.read, field)
    if found is not None and found.optional:
        yield f"{field} may be null in {resource.read.__name__}, so lists cannot be sorted by it"
    if not _always_created(resource, field):
        yield (
            f"lists are sorted by {field}, which a new document may lack: "
            "require it in `create`, or give it in `defaults`"
        )
    for shape in resource.change.values():
        changed = values.leaf(shape, field)
        if changed is not None and changed.optional:
            yield f"{shape.__name__} can set {field} to null, so lists cannot be sorted by it"


def _always_created(resource: "Resource", field: str) -> bool:
    if field in ALWAYS or field == resource.owner or field in resource.defaults():
        return True
    if resource.create is None:  # documents come from code of ours, not from bodies
        return True
    shape: type[msgspec.Struct] | None = resource.create
    for name in field.split("."):
        made = {one.name: one for one in msgspec.structs.fields(shape)} if shape else {}
        if name not in made or not (made[name].required or made[name].default is not None):
            return False
        shape = values.struct(made[name].type)
    return True

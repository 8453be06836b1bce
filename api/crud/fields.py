"""Fields of a resource: what they are besides their type is marked in their annotation.

    class User(Struct, kw_only=True):
        name: Annotated[str, texts.line(200)]
        email: Annotated[str, texts.email, UNIQUE, ADMIN_CHANGES]
        phone: Annotated[str, texts.phone] | None = None
        role: Annotated[Role, ADMIN_ONLY] = Role.USER
        password: Annotated[str, passwords.check, NEVER_SHOWN] | None = None

What is required here is required of who creates a document; what may be null may be absent, and
is removed by null. A function is a rule (web/text.py): the normal form of the text, or of each text
in the list; ValueError with a sentence refuses it. `Meta` is for the description, and bounds.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import Enum, auto
from itertools import chain
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from api.crud.access import Role
from api.store.claims import as_is
from api.web.files import FileType
from api.web.text import Rule

ID = Meta(
    pattern="^[0-9a-fA-F]{24}$",
    description="An id: 24 hexadecimal digits",
    examples=["665f1f77bcf86cd799439011"],
)
TIME = Meta(tz=True, description="A time, RFC 3339")
Id = Annotated[str, ID]
Time = Annotated[datetime, TIME]

Shape = type[msgspec.Struct]


class Mark(Enum):
    """What a field is. Without one of the first four, bodies that create and change set it."""

    READ_ONLY = auto()  # no body sets it: code of ours does
    CREATE_ONLY = auto()  # set at creation, and then for good
    ADMIN_ONLY = auto()  # a document begins with its default; only administrators change it
    ADMIN_CHANGES = auto()  # set at creation by anybody, and then by administrators only
    NEVER_SHOWN = auto()
    FRESH_LOGIN = auto()  # of one's own account it changes only after a fresh log-in
    NOT_ONESELF = auto()  # administrators do not change it of their own account, nor delete that
    OWNER = auto()  # the user who owns the document; administrators may create for another one
    MEMBERS = auto()  # further users, who may read the document


READ_ONLY, CREATE_ONLY = Mark.READ_ONLY, Mark.CREATE_ONLY
ADMIN_ONLY, ADMIN_CHANGES = Mark.ADMIN_ONLY, Mark.ADMIN_CHANGES
NEVER_SHOWN, FRESH_LOGIN, NOT_ONESELF = Mark.NEVER_SHOWN, Mark.FRESH_LOGIN, Mark.NOT_ONESELF
OWNER, MEMBERS = Mark.OWNER, Mark.MEMBERS

WHO_SETS = frozenset({READ_ONLY, CREATE_ONLY, ADMIN_ONLY, ADMIN_CHANGES})


class UniqueBy(NamedTuple):
    """A mark: no two documents share the value. `key` folds it to what is compared."""

    key: Callable[[str], str]


UNIQUE = UniqueBy(as_is)


class OnDelete(Enum):
    """What becomes of a reference when the document that it leads to is deleted."""

    KEEP = auto()  # nothing: it leads nowhere then
    REFUSE = auto()  # that one is not deleted while there is a reference to it
    CLEAR = auto()  # the id is taken out


class Reference(NamedTuple):
    """A mark: the field has an id, or ids, of documents of another resource; see references.py."""

    resource: str
    on_delete: OnDelete


def refers(resource: str, on_delete: OnDelete = OnDelete.KEEP) -> Reference:
    """The mark of a reference."""
    return Reference(resource, on_delete)


class StoredAs(NamedTuple):
    """A mark: the value is not stored, but what `make` makes of it, in another field."""

    field: str
    make: Callable[[Any], Any]


class FileInfo(msgspec.Struct, kw_only=True):
    """A file as shown. `size` in bytes."""

    name: str
    type: str
    size: int


class Attachment(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A mark: the field is a file that each document has; its type is `FileInfo`.

    types   the media types it may be of, and how they look
    unique  no two documents have the same content
    field   the field's name, which is also the part of the form, and the last part of the address
            that the file is fetched from
    """

    types: Mapping[str, FileType]
    unique: bool = False
    field: str = ""

    @property
    def file_field(self) -> str:
        """The stored field with the file's id."""
        return f"{self.field}_file"

    @property
    def digest_field(self) -> str:
        """The stored field with the digest."""
        return f"{self.field}_digest"


class Field(NamedTuple):
    """One field as a resource declares it. No default is msgspec's `NODEFAULT`."""

    name: str
    kind: Any
    marks: tuple[Any, ...]
    default: Any
    default_factory: Any

    @property
    def flags(self) -> frozenset[Mark]:
        """The marks of this field that have no value of their own, such as READ_ONLY."""
        return frozenset(mark for mark in self.marks if isinstance(mark, Mark))

    @property
    def created(self) -> bool:
        """Whether the body that creates sets it. A file comes beside the fields of its form."""
        return self.flags.isdisjoint({READ_ONLY, ADMIN_ONLY}) and self.of(Attachment) is None

    @property
    def changed_by(self) -> frozenset[Role]:
        """By whose bodies it is changed, if these may change the document."""
        fixed = {READ_ONLY, CREATE_ONLY, OWNER}
        if self.of(Attachment) is not None or not self.flags.isdisjoint(fixed):
            return frozenset()
        by_admins = not self.flags.isdisjoint({ADMIN_ONLY, ADMIN_CHANGES})
        return frozenset({Role.ADMIN} if by_admins else Role)

    @property
    def imported(self) -> bool:
        """Whether an import sets it, also where a body that creates does not."""
        return self.created or (self.shown and Role.ADMIN in self.changed_by)

    @property
    def shown(self) -> bool:
        """Whether answers have it."""
        return NEVER_SHOWN not in self.flags

    def of(self, kind: type[Any]) -> Any:
        """Its mark of this class, or None."""
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is msgspec.NODEFAULT and self.default_factory is msgspec.NODEFAULT

    def begins(self) -> Any:
        """The value of its default; None where there is none."""
        if self.default_factory is not msgspec.NODEFAULT:
            return self.default_factory()
        return None if self.default is msgspec.NODEFAULT else self.default


def declared(shape: Shape) -> tuple[Field, ...]:
    """The fields of a struct, with their marks."""
    kinds = get_type_hints(shape, include_extras=True)
    return tuple(
        Field(one.name, kinds[one.name], marks(kinds[one.name]), one.default, one.default_factory)
        for one in msgspec.structs.fields(shape)
    )


def marks(kind: Any) -> tuple[Any, ...]:
    """What is annotated of a type, or of what it is unless it is null."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return (*parts[1:], *marks(parts[0]))
    if origin in (Union, UnionType):
        return tuple(chain.from_iterable(marks(part) for part in parts))
    return ()


def rule(kind: Any) -> Rule | None:
    """The rule for a text of this type, or for the texts of a list."""
    found: Rule | None = next((mark for mark in marks(kind) if callable(mark)), None)
    if found is not None:
        return found
    return next((inner for item in _items(kind) if (inner := rule(item)) is not None), None)


def _items(kind: Any) -> Iterator[Any]:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is list:
        yield parts[0]
    elif origin is Annotated:
        yield from _items(parts[0])
    elif origin in (Union, UnionType):
        for part in parts:
            yield from _items(part)


def taken(kind: Any) -> Any:
    """The type as bodies take it: of what is annotated, `Meta` stays."""
    return _keeping(kind, lambda one: isinstance(one, Meta))


def as_shown(kind: Any) -> Any:
    """The type as it is shown: what is annotated is about bodies, only `Id` and `Time` stay."""
    return _keeping(kind, lambda one: one in (ID, TIME))


def _keeping(kind: Any, keep: Callable[[Any], bool]) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        kept = tuple(filter(keep, parts[1:]))
        inner = _keeping(parts[0], keep)
        return Annotated[(inner, *kept)] if kept else inner
    if origin in (Union, UnionType):
        return Union[tuple(_keeping(part, keep) for part in parts)]  # noqa: UP007 - made here
    if origin is list:
        return list[_keeping(parts[0], keep)]  # type: ignore[misc]
    return kind

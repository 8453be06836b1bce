"""What a resource declares. Everything else (routes, schema, claims) is made from it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from api.resources.access import Access, Role
from api.store import Document, Documents, Store, Unique
from api.web.body import Rules


def unchanged(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields as they are."""
    return fields


class Resource(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A kind of document and how the world may deal with it.

    name        collection, and last part of the address: /api/v1/<name>
    create      struct of a body that creates one
    change      struct of a PATCH body, by the role of who sends it
    read        struct of what is shown; `id` stands for `_id`
    unique      fields no two documents share, in the order they are claimed
    rules       normal form of text fields: text in, text out, ValueError with a sentence
    access      who may do what
    prepare     from valid fields to stored fields (a password becomes its hash)
    defaults    stored fields of a new document that no body can set
    shard_key   every operation by id touches one shard
    """

    name: str
    create: type[msgspec.Struct]
    change: Mapping[Role, type[msgspec.Struct]]
    read: type[msgspec.Struct]
    unique: tuple[Unique, ...] = ()
    rules: Rules = msgspec.field(default_factory=dict)
    access: Access = Access()
    prepare: Callable[[dict[str, Any]], dict[str, Any]] = unchanged
    defaults: Callable[[], dict[str, Any]] = dict
    shard_key: Mapping[str, str] = msgspec.field(default_factory=lambda: {"_id": "hashed"})

    def documents(self, store: Store) -> Documents:
        """Its documents in a store."""
        return Documents(store, self.name, self.unique)

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """The stored fields that are read to show a document; `_id` comes by itself."""
        return tuple(name for name in self.read.__struct_fields__ if name != "id")

    @cached_property
    def _empty(self) -> dict[str, Any]:
        return dict.fromkeys(self.read.__struct_fields__)

    def show(self, document: Document) -> dict[str, Any]:
        """A whole document as the outside sees it: what `read` names, null where there is none."""
        shown = {field: document.get(field) for field in self.read.__struct_fields__}
        shown["id"] = str(document["_id"])
        return shown

    def show_projected(self, document: Document) -> dict[str, Any]:
        """The same of a document read with the fields `shown`: cheaper, for pages."""
        document["id"] = str(document.pop("_id"))
        return {**self._empty, **document}

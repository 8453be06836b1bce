"""Lists: what may be asked of one follows from the declaration, and becomes a query.

`field=value` and `field[operator]=value` filter, all together; `sort=field` or `sort=-field`
orders, `fields=a,b` chooses what is shown, `limit` and `after` page.

A page ends in a cursor, [sort value, `_id`] in MessagePack, signed, so that nobody can make or bend
one. The signature also covers the scope: resource, filter and order, and whom the list was narrowed
to. So a cursor continues the one list it came from; the page size and the chosen fields may change
on the way.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

import msgspec
from bson import ObjectId
from flask import request
from msgspec import Meta

from api.crud import fields, values
from api.crud.resource import Resource
from api.crud.values import Stored
from api.settings import Settings
from api.store import Document
from api.store.pages import BY_ID, After, Sort, also
from api.web import text as texts
from api.web.expected import plain as bare
from api.web.problems import FieldError, in_query, invalid
from api.web.signing import Signing

MOST_IN = 100  # values of one `[in]`
RANGES = {"gt": "$gt", "gte": "$gte", "lt": "$lt", "lte": "$lte", "eq": "$eq", "in": "$in"}
MEANINGS = {
    "eq": "Equal to this",
    "in": f"Equal to one of these, at most {MOST_IN}",
    "gt": "Greater than this",
    "gte": "This or greater",
    "lt": "Less than this",
    "lte": "This or less",
    "prefix": "Begins with this",
    "folded": "Begins with this; capitals and accents make no difference",
}


Clauses = Callable[[Any], Document]
"""Of a parameter's value: conditions by stored field. Raises ValueError with a sentence."""


class Filter(NamedTuple):
    """A parameter that filters."""

    attribute: str  # of the query's struct
    parameter: str  # in the address
    field: str
    operator: str
    clauses: Clauses


class Asked(NamedTuple):
    """What a request asks of a list, ready for `Documents.page`."""

    where: Document
    sort: Sort
    fields: tuple[str, ...]
    limit: int
    after: After | None
    scope: bytes
    chosen: tuple[str, ...]  # what the consumer wants to see; empty: everything


class Lists:
    """The lists of one resource."""

    def __init__(self, resource: Resource, settings: Settings) -> None:
        self._resource = resource
        self._usual, self._most = settings.page_size, settings.page_size_limit
        self._signing = Signing(settings.signing_secrets, "cursors")
        self._filters = [
            _filter(resource, field, operator)
            for field, operators in resource.filters.items()
            for operator in operators
        ]
        self.query = self._shape()

    def _shape(self) -> type[msgspec.Struct]:
        """The struct of the query string; validation and description come from it."""
        ways = tuple(way + field for field in self._resource.sortable for way in ("", "-"))
        shown = tuple(self._resource.read.__struct_fields__)
        limit = Annotated[
            int, Meta(ge=1, description=f"Items on a page; more than {self._most} are not given")
        ]
        after = Annotated[str, Meta(description="The `next` of the page before")]
        order = "Order; `-`: downwards. Else by id"
        if self._resource.folded:
            order += ". Of texts as people order them: capitals and accents make no difference"
        sort = Annotated[Literal[ways], Meta(description=order)]  # type: ignore[valid-type]
        chosen = Annotated[
            list[Literal[shown]],  # type: ignore[valid-type]
            Meta(min_length=1, description="Show only these, and `id`"),
        ]
        own: list[tuple[str, Any, Any]] = [
            ("limit", limit | None, None),
            ("after", after | None, None),
            ("sort", sort | None, None),
            ("fields", chosen | None, None),
        ]
        asked = [
            (
                one.attribute,
                _parameter_type(self._resource, one.field, one.operator) | None,
                None,
            )
            for one in self._filters
        ]
        return msgspec.defstruct(
            f"{self._resource.read.__name__}Query",
            own + asked,
            rename={one.attribute: one.parameter for one in self._filters},
            kw_only=True,
            forbid_unknown_fields=True,
        )

    def ask(self, query: msgspec.Struct, narrowed: Document) -> Asked:
        """The page that a query string asks for, of the list narrowed to `narrowed`.

        `narrowed` is what `where` made, and `Visibility` narrowed to what the principal may see.
        Raises 422 for a cursor of another list.
        """
        given: Any = query
        way = given.sort or "_id"
        field = way.removeprefix("-")
        sort = (self._resource.folded.get(field, field), -1 if way.startswith("-") else 1)
        chosen = tuple(name for name in given.fields or () if name != "id")
        if given.fields and not chosen:
            chosen = ("version",)
        scope = scope_of(self._resource.name, sort, narrowed)
        return Asked(
            narrowed,
            sort if given.sort else BY_ID,
            chosen or self._resource.shown,
            min(given.limit or self._usual, self._most),
            None if given.after is None else self._after(scope, given.after),
            scope,
            chosen,
        )

    def where(self, query: msgspec.Struct) -> Document:
        """The filter that a query string asks for. Raises 422 naming each wrong parameter."""
        found: Document = {}
        errors: list[FieldError] = []
        for one in self._filters:
            value = getattr(query, one.attribute)
            if value is None:
                continue
            try:
                clauses = one.clauses(value)
            except ValueError as error:
                errors.append(in_query(one.parameter, str(error)))
                continue
            for field, clause in clauses.items():
                found = _together(found, field, clause)
        if errors:
            raise invalid(*errors)
        return found

    def following(self, asked: Asked, last: Document) -> str:
        """The cursor behind the last document of a page."""
        last_id: ObjectId = last["_id"]
        value = values.within(last, asked.sort[0])
        return cursor(self._signing, asked.scope, (value, last_id))

    def _after(self, scope: bytes, text: str) -> After:
        try:
            return behind(self._signing, scope, text)
        except ValueError:
            detail = "Give the `next` of a page of this very list: same filter, same order."
            raise invalid(in_query("after", detail)) from None


def scope_of(*parts: Any) -> bytes:
    """What a list is, in 32 bytes."""
    text = msgspec.json.encode(parts, enc_hook=str, order="deterministic")
    return hashlib.sha256(text).digest()


def cursor(signing: Signing, scope: bytes, after: After) -> str:
    """The cursor behind a document."""
    value, document_id = after
    outside = {"id": value.binary} if isinstance(value, ObjectId) else value
    return signing.sign(msgspec.msgpack.encode([outside, document_id.binary]), scope)


def behind(signing: Signing, scope: bytes, text: str) -> After:
    """What `cursor` was given. Raises ValueError for anything that it did not make."""
    value, document_id = msgspec.msgpack.decode(signing.unsign(text, scope))
    return ObjectId(value["id"]) if isinstance(value, dict) else value, ObjectId(document_id)


def link(cursor: str) -> str:
    """The Link header to the next page (RFC 8288): this address, with another `after`."""
    others = [(n, v) for n, vs in request.args.lists() for v in vs if n != "after"]
    text = "&".join(
        f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in [*others, ("after", cursor)]
    )
    return f'<{quote(request.path)}?{text}>; rel="next"'


def _filter(resource: Resource, field: str, operator: str) -> Filter:
    kind = _kind(resource, field)
    convert = values.conversion(values.item(kind) or kind)
    rule = resource.rules.get(field)

    def one(value: Any) -> Any:
        normal = value if rule is None else rule(value)
        return normal if convert is None else convert(normal)

    def several(given: list[Any]) -> list[Any]:
        return [one(value) for value in given]

    def beginning(text: str) -> str:
        return texts.beginning(rule, text)

    made: Stored = one
    if operator in ("in", "prefix"):
        made = several if operator == "in" else beginning
    suffix = "" if operator == "eq" else f"[{operator}]"
    attribute = f"filter_{field.replace('.', '_in_')}_{operator}"
    place = resource.folded.get(field)

    def clauses(value: Any) -> Document:
        given = made(value)
        if place is None:
            return {field: _clause(operator, given)}
        found = {place: _clause(operator, _folded(given))}
        return found if operator == "prefix" else {**found, field: _clause(operator, given)}

    return Filter(attribute, field + suffix, field, operator, clauses)


def _folded(given: Any) -> Any:
    """The search key of a text, or those of several, each once."""
    if isinstance(given, list):
        return list(dict.fromkeys(texts.search_key(one) for one in given))
    return texts.search_key(given)


def _kind(resource: Resource, field: str) -> Any:
    found = values.leaf(resource.read, field)
    assert found is not None  # noqa: S101 - the declaration was checked
    return found.kind


def _parameter_type(resource: Resource, field: str, operator: str) -> Any:
    """The type of a filter's value: that of the field, or of its items."""
    kind = _kind(resource, field)
    one = values.item(kind) or kind
    plain = bare(one)
    base: Any = fields.Id if values.is_id(one) else plain
    if operator == "prefix":
        meaning = MEANINGS["folded" if field in resource.folded else operator]
        return Annotated[str, Meta(min_length=1, max_length=200, description=meaning)]
    base = fields.Time if plain is datetime else base
    if operator == "in":
        return Annotated[
            list[base], Meta(min_length=1, max_length=MOST_IN, description=MEANINGS[operator])
        ]
    return Annotated[base, Meta(description=MEANINGS[operator])]


def _clause(operator: str, value: Any) -> Document:
    if operator == "prefix":  # a range, which any index serves; no expression to escape
        return {"$gte": value, "$lt": value + values.PREFIX_END}
    return {RANGES[operator]: value}


def _together(found: Document, field: str, clause: Document) -> Document:
    """One more condition on a field, in the field's own place as long as no two are alike."""
    there = found.get(field, {})
    if there.keys().isdisjoint(clause):
        return {**found, field: {**there, **clause}}
    return also(found, {field: clause})

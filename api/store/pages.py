"""Pages by keyset: each begins behind the last document of the one before.

The order is (sort field, `_id`), both the same way, so that it is total, and an index on the two
serves it. A page is one range of this order. Written as

    {$or: [{field: value, _id: {$gt: id}}, {field: {$gt: value}}]}

it is two exact ranges of the index, which mongod merges in order without sorting; the condition of
the list stands in both, so that each may use the index that serves it best. With the bound
`field >= value` beside the `$or`, the planner may as well choose that one range, and read again all
entries equal to `value`: page 1,000 of users with one name would cost what 1,000 pages cost.

Every document must have the sort field: ranges of MongoDB are of one type, so null and absent
values would fall out. A declaration that does not see to this is refused (crud/resource.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from api.store.deadline import attempt
from api.store.document import LIVE, Document

Sort = tuple[str, int]  # field, and 1 or -1
After = tuple[Any, ObjectId]  # the sort value and the `_id` of the last document seen

BY_ID: Sort = ("_id", 1)


def read_page(
    collection: Collection[Document], fields: Sequence[str], limit: int, query: Document, sort: Sort
) -> list[Document]:
    """Up to `limit` documents that meet `query`, in this order: `fields` of each and `_id`."""
    order = [sort] if sort[0] == "_id" else [sort, ("_id", sort[1])]

    # All in the first batch: above 101 documents a page otherwise costs a second round trip.
    def read() -> list[Document]:
        found = collection.find(query, fields, sort=order, limit=limit)
        return list(found.batch_size(limit + 1))

    return attempt(read, idempotent=True)


def page_query(where: Mapping[str, Any], sort: Sort, after: After | None) -> Document:
    """The filter of a page."""
    base: Document = {**where, "version": LIVE}
    if after is None:
        return base
    field, way = sort
    beyond = "$gt" if way > 0 else "$lt"
    value, last_id = after
    if field == "_id":
        return also(base, {"_id": {beyond: last_id}})
    same = also(base, {field: value, "_id": {beyond: last_id}})
    return {"$or": [same, also(base, {field: {beyond: value}})]}


def also(where: Mapping[str, Any], more: Mapping[str, Any]) -> Document:
    """Both conditions; those on one field stand side by side in an `$and`."""
    if where.keys().isdisjoint(more):
        return {**where, **more}
    return {"$and": [where, more]}

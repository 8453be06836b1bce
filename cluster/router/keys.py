"""Shard keys: where in the key space a value lies, in mongod's own order and with its own hash.

The order is that of BSON comparison; the hash is that of hashed indexes, seen to agree with
``$toHashedIndexKey``.
Source: https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
"""

import hashlib
import math
import struct
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import bson
from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

Point = tuple[Any, ...]
"""A place in the order of BSON values; points compare with each other."""

# Type byte of an element -> the type that stands for all that compare alike.
_CANONICAL = {1: 10, 16: 10, 18: 10, 19: 10, 2: 15, 14: 15, 6: 0}
_CANONICAL |= {3: 20, 4: 25, 5: 30, 7: 35, 8: 40, 9: 45, 17: 47, 11: 50, 12: 55, 13: 60, 15: 65}
_CANONICAL |= {10: 5, 255: -1, 127: 127}
_SIGNED = struct.Struct("<i")
_INT64 = struct.Struct("<q")


class UnplaceableError(Exception):
    """The router does not know the place of a value of this type; a member has to be asked."""


def hashed(value: object) -> Int64:
    """Return what a hashed index stores for a value.

    Raises:
        UnplaceableError: for Decimal128 and code, whose hashing depends on the server's arithmetic.
    """
    digest = hashlib.md5(_SIGNED.pack(0), usedforsecurity=False)
    _feed(digest, bson.encode({"": value}), with_name=False)
    return Int64(_INT64.unpack_from(digest.digest())[0])


def _feed(digest: Any, document: bytes, *, with_name: bool) -> None:
    """Hash the elements of an encoded document one by one, without decoding them."""
    position, end = 4, len(document) - 1
    while position < end:
        kind = document[position]
        nul = document.index(0, position + 1)
        start = nul + 1
        stop = start + _width(kind, document, start)
        digest.update(_SIGNED.pack(_CANONICAL[kind if kind < 128 or kind == 255 else 6]))
        if with_name:
            digest.update(document[position + 1 : start])
        if kind in (3, 4):
            _feed(digest, document[start:stop], with_name=True)
            digest.update(_SIGNED.pack(0))  # the end of the document counts as an element
        elif kind in (1, 16, 18):
            digest.update(_INT64.pack(_to_int64(kind, document, start)))
        else:
            digest.update(document[start:stop])
        position = stop


def _to_int64(kind: int, document: bytes, start: int) -> int:
    if kind == 16:
        return int(_SIGNED.unpack_from(document, start)[0])
    if kind == 18:
        return int(_INT64.unpack_from(document, start)[0])
    number = struct.unpack_from("<d", document, start)[0]
    if math.isnan(number):
        return 0
    return int(min(max(number, -(2.0**63)), 2**63 - 1))


_FIXED = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 255: 0, 127: 0}


def _width(kind: int, document: bytes, start: int) -> int:
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in (3, 4):
        return int(_SIGNED.unpack_from(document, start)[0])
    if kind in (2, 14):
        return 4 + int(_SIGNED.unpack_from(document, start)[0])
    if kind == 5:
        return 5 + int(_SIGNED.unpack_from(document, start)[0])
    if kind == 11:
        return document.index(0, document.index(0, start) + 1) + 1 - start
    raise UnplaceableError(f"BSON type {kind}")


def point(value: object) -> Point:
    """Return the place of one value.

    Raises:
        UnplaceableError: for types that no shard key in practice has.
    """
    for types, rank, key in _ORDER:
        if isinstance(value, types):
            return (rank, key(value)) if key is not None else (rank,)
    raise UnplaceableError(f"a value of type {type(value).__name__}")


def document_point(document: Mapping[str, Any]) -> Point:
    """Return the place of a compound value: that of its fields, in their order."""
    return tuple(point(value) for value in document.values())


def _number(value: Any) -> tuple[int, Any]:
    exact = value.to_decimal() if isinstance(value, Decimal128) else value
    if math.isnan(exact):  # NaN comes before all other numbers
        return (0, 0)
    return (1, Decimal(exact) if isinstance(exact, float) and math.isfinite(exact) else exact)


def _fields(value: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((point(item)[0], name.encode(), point(item)) for name, item in value.items())


def _binary(value: bytes) -> tuple[int, int, bytes]:
    return (len(value), value.subtype if isinstance(value, Binary) else 0, bytes(value))


def _date(value: Any) -> int:
    return int(value) if isinstance(value, DatetimeMS) else int(DatetimeMS(value))


_ORDER: tuple[tuple[Any, int, Any], ...] = (
    (MinKey, -1, None),
    (MaxKey, 127, None),
    (bool, 40, bool),  # before numbers: Python's bool is an int
    ((int, float, Decimal128), 10, _number),
    (type(None), 5, None),
    (Code, 60, None),
    (str, 15, str.encode),
    (ObjectId, 35, lambda value: value.binary),
    ((Binary, bytes), 30, _binary),
    ((datetime, DatetimeMS), 45, _date),
    (Timestamp, 47, lambda value: (value.time, value.inc)),
    (Regex, 50, lambda value: (str(value.pattern), value.flags)),
    (Mapping, 20, _fields),
)

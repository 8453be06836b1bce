"""What a claim on a unique value is. What claims mean, and how they are made, is in claims.py."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec
from bson import ObjectId


def as_is(value: str) -> str:
    """The key of a value that is compared as it is stored."""
    return value


class Unique(msgspec.Struct, frozen=True):
    """A field no two documents of a collection share.

    `key` folds the stored value to what is compared (`AB-12` and `ab 12` may be one number).
    """

    field: str
    key: Callable[[str], str] = as_is


class Claim(NamedTuple):
    """That `owner`, once at `version`, holds `value` in `field`."""

    id: str
    field: str
    value: str  # folded by the field's key
    owner: ObjectId
    version: int


class Watch:
    """Is told of each try to take a unique value, before it is made: whoever tries learns whether
    another document has the value. May raise to prevent it. This one lets everybody.
    """

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Around the creation of one document with unique values."""
        yield

    def changing(self) -> None:
        """Before one document's unique values are changed to others."""


class Verdict(Enum):
    """What the owner's document says of a claim."""

    HELD = auto()
    DEAD = auto()
    PENDING = auto()


class Found(NamedTuple):
    """A claim as it stands in the database."""

    owner: ObjectId
    version: int
    at: datetime


def as_document(claim: Claim) -> dict[str, Any]:
    """The claim as it is stored."""
    return {
        "_id": claim.id,
        "owner": claim.owner,
        "version": claim.version,
        "at": datetime.now(UTC),
    }

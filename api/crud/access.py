"""Who may do what: roles, the principal of a request, and the rules a resource declares."""

import math
import time
from enum import Enum, StrEnum, auto
from typing import Any

import msgspec
from bson import ObjectId
from flask import g

from api.web.languages import say
from api.web.problems import ProblemError


class Role(StrEnum):
    """What a user is to the API. Stored in the user's document; never taken from a request."""

    USER = "user"
    ADMIN = "admin"


class Who(Enum):
    """Whom a rule admits."""

    NOBODY = auto()  # there is no such route
    ADMIN = auto()
    OWNER = auto()  # the owner of the document, and administrators
    MEMBER = auto()  # its members, its owner, and administrators
    USER = auto()  # whoever is logged in
    ANYONE = auto()  # no token needed; the endpoint is on the gate's public list, too


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """A resource's rules, one per operation."""

    list: Who = Who.ADMIN
    create: Who = Who.ADMIN
    get: Who = Who.OWNER
    change: Who = Who.OWNER
    delete: Who = Who.OWNER
    bulk: Who = Who.NOBODY  # import and export; ADMIN or NOBODY


class Principal(msgspec.Struct, frozen=True):
    """Who makes this request: the user's document, as just read."""

    id: ObjectId
    role: Role
    session: str
    collection: str
    document: dict[str, Any]
    logged_in_at: float = 0  # seconds since 1970
    until: float = math.inf  # the same: how long its token is good

    @property
    def is_admin(self) -> bool:
        """Whether every rule admits it."""
        return self.role is Role.ADMIN

    def own(self, collection: str, document_id: ObjectId) -> dict[str, Any] | None:
        """The principal's own document, if it is the one asked for: it need not be read again."""
        mine = collection == self.collection and document_id == self.id
        return self.document if mine else None


def principal() -> Principal:
    """The principal of the current request, set by the gate."""
    found: Principal = g.principal
    return found


def acting() -> Principal | None:
    """The principal; None where the route needs no token."""
    found: Principal | None = g.get("principal")
    return found


def admit(rule: Who) -> None:
    """Raise 403 where the rule admits administrators only, and the principal is none.

    What hangs on the single document is for visibility.py to say, and hidden behind 404.
    """
    if rule is Who.ADMIN and not principal().is_admin:
        raise ProblemError(403, "Only administrators may do this.", kind="forbidden")


def want_fresh_log_in(within: float) -> None:
    """Raise 401 unless the principal logged in within so many seconds: a token may be stolen.

    The challenge is that of RFC 9470: who gets it logs in again, and repeats the request with the
    new token. A refreshed token is as old as the log-in that its session began with.
    """
    if time.time() - principal().logged_in_at <= within:
        return
    seconds = f"{within:.0f}"
    detail = say(
        "For this, log in again: it takes a log-in within the last {seconds} s.", seconds=seconds
    )
    challenge = (
        'Bearer realm="shardstack", error="insufficient_user_authentication", '
        f'error_description="{detail}", max_age="{within:.0f}"'
    )
    raise ProblemError(401, detail, kind="fresh-login", headers={"WWW-Authenticate": challenge})

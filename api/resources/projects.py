"""Projects: each has an owner, who may do everything with it, and members, who may read it.

They are spread by owner, so that a user's projects are on one shard.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from api.crud.access import Access, Who
from api.crud.fields import MEMBERS, OWNER, Id
from api.crud.resource import EXACT, ORDERED, TEXT, Resource
from api.crud.rules import Constraint
from api.web import text as texts
from api.web.languages import say


class Status(StrEnum):
    """How far a project is."""

    PLANNED = "planned"
    ACTIVE = "active"
    PAUSED = "paused"
    DONE = "done"


EACH_ONCE = Meta(
    max_length=100,
    description="Users who may read it, each once",
    extra_json_schema={"uniqueItems": True},
)


class Project(Struct, kw_only=True):
    """A project."""

    name: Annotated[str, texts.line(200), Meta(examples=["Analytical Engine"])]
    description: Annotated[str, texts.paragraphs(2000)] | None = None
    status: Status = Status.PLANNED
    owner: Annotated[Id, OWNER]
    members: Annotated[list[Id], MEMBERS, EACH_ONCE] = field(default_factory=list)
    starts_on: date | None = None
    ends_on: date | None = None


def ends_after_it_starts(project: Mapping[str, Any]) -> dict[str, str]:
    """A project does not end before it starts."""
    starts, ends = project.get("starts_on"), project.get("ends_on")
    if starts is not None and ends is not None and ends < starts:
        return {"ends_on": say("This is before starts_on, {starts}.", starts=starts)}
    return {}


def members_differ(project: Mapping[str, Any]) -> dict[str, str]:
    """Nobody is a member twice."""
    members = project.get("members") or []
    return {} if len(set(members)) == len(members) else {"members": "Name each user once."}


PROJECTS = Resource(
    name="projects",
    fields=Project,
    access=Access(
        list=Who.MEMBER,
        create=Who.USER,
        get=Who.MEMBER,
        change=Who.OWNER,
        delete=Who.OWNER,
        bulk=Who.ADMIN,
    ),
    shard_key={"owner": "hashed", "_id": 1},
    filters={
        "name": TEXT,
        "status": EXACT,
        "owner": EXACT,
        "members": ("eq",),
        "starts_on": ORDERED,
        "created_at": ORDERED,
    },
    sorts=("name",),
    constraints=(
        Constraint(("starts_on", "ends_on"), ends_after_it_starts),
        Constraint(("members",), members_differ),
    ),
)

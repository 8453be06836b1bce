"""Projects: each has an owner, who may do everything with it, and members, who may read it.

They are spread by owner, so that a user's projects are on one shard.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from api.crud.access import Access, Role, Who
from api.crud.resource import EXACT, ORDERED, TEXT, Resource
from api.crud.rules import Constraint
from api.crud.values import Id, Time
from api.web import text


class Status(StrEnum):
    """How far a project is."""

    PLANNED = "planned"
    ACTIVE = "active"
    PAUSED = "paused"
    DONE = "done"


Name = Annotated[str, Meta(examples=["Analytical Engine"])]
Members = Annotated[
    list[Id],
    Meta(
        max_length=100,
        description="Users who may read it, each once",
        extra_json_schema={"uniqueItems": True},
    ),
]
Owner = Annotated[Id, Meta(description="Administrators may name another user; for good")]


class NewProject(Struct, kw_only=True, forbid_unknown_fields=True):
    """Body that creates a project."""

    name: Name
    description: str | None = None
    status: Status = Status.PLANNED
    owner: Owner | None = None
    members: Members = field(default_factory=list)
    starts_on: date | None = None
    ends_on: date | None = None


class ProjectChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Body that changes a project. Null removes what may be absent."""

    name: Name | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET
    members: Members | UnsetType = UNSET
    starts_on: date | UnsetType | None = UNSET
    ends_on: date | UnsetType | None = UNSET


class Project(Struct, kw_only=True):
    """A project as shown."""

    id: Id
    name: str
    description: str | None
    status: Status
    owner: Id
    members: list[Id]
    starts_on: date | None
    ends_on: date | None
    version: int
    created_at: Time
    updated_at: Time


def ends_after_it_starts(project: Mapping[str, Any]) -> dict[str, str]:
    """A project does not end before it starts."""
    starts, ends = project.get("starts_on"), project.get("ends_on")
    if starts is not None and ends is not None and ends < starts:
        return {"ends_on": f"This is before starts_on, {starts}."}
    return {}


def members_differ(project: Mapping[str, Any]) -> dict[str, str]:
    """Nobody is a member twice."""
    members = project.get("members") or []
    return {} if len(set(members)) == len(members) else {"members": "Name each user once."}


PROJECTS = Resource(
    name="projects",
    create=NewProject,
    change={Role.USER: ProjectChange, Role.ADMIN: ProjectChange},
    read=Project,
    rules={"name": text.line(200), "description": text.paragraphs(2000)},
    access=Access(
        list=Who.MEMBER,
        create=Who.USER,
        get=Who.MEMBER,
        change=Who.OWNER,
        delete=Who.OWNER,
        bulk=Who.ADMIN,
    ),
    shard_key={"owner": "hashed", "_id": 1},
    owner="owner",
    members="members",
    constraints=(
        Constraint(("starts_on", "ends_on"), ends_after_it_starts),
        Constraint(("members",), members_differ),
    ),
    filters={
        "name": TEXT,
        "status": EXACT,
        "owner": EXACT,
        "members": ("eq",),
        "starts_on": ORDERED,
        "created_at": ORDERED,
    },
    sorts=("name",),
)

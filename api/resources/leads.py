"""Leads: people who registered with their résumé. Anyone may; administrators get in touch.

A lead is `pending` until an administrator sets it to `reached_out`, once: a second attempt, and any
way back, is refused with 409, so that of two administrators one makes the call. E-mail and the
résumé's content are each taken by one lead only. The file lies beside the document
(crud/files.py).
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from api.crud.access import Access, Role, Who, principal
from api.crud.resource import EXACT, ORDERED, TEXT, Attachment, FileInfo, Resource
from api.crud.rules import Transition
from api.crud.values import Id, Time
from api.store import Unique
from api.store.document import now
from api.web import text
from api.web.files import DOCUMENTS


class State(StrEnum):
    """How far we are with a lead."""

    PENDING = "pending"
    REACHED_OUT = "reached_out"


class NewLead(Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields of the form that registers a lead."""

    first_name: str
    last_name: str
    email: str


class LeadChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """Body that changes a lead."""

    state: State


class Lead(Struct, kw_only=True):
    """A lead as shown."""

    id: Id
    first_name: str
    last_name: str
    email: str
    resume: FileInfo
    state: State
    reached_out_at: Time | None
    reached_out_by: Id | None
    version: int
    created_at: Time
    updated_at: Time


def stamps(_state: str) -> dict[str, Any]:
    """Who got in touch, and when."""
    return {"reached_out_at": now(), "reached_out_by": principal().id}


RESUME = Attachment(field="resume", types=DOCUMENTS)

LEADS = Resource(
    name="leads",
    create=NewLead,
    change={Role.ADMIN: LeadChange},
    read=Lead,
    unique=(Unique("email"), RESUME.unique),
    rules={
        "first_name": text.line(100),
        "last_name": text.line(100),
        "email": text.email,
    },
    access=Access(
        list=Who.ADMIN,
        create=Who.ANYONE,
        get=Who.ADMIN,
        change=Who.ADMIN,
        delete=Who.ADMIN,
        bulk=Who.ADMIN,
    ),
    defaults=lambda: {"state": State.PENDING.value},
    filters={"state": EXACT, "email": TEXT, "last_name": TEXT, "created_at": ORDERED},
    sorts=("last_name",),
    attachment=RESUME,
    transitions=(
        Transition(
            "state", {State.REACHED_OUT.value: (State.PENDING.value,), "pending": ()}, stamps
        ),
    ),
)

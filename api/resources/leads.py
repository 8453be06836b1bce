"""Leads: people who registered with their résumé. Anyone may; administrators get in touch.

A lead is `pending` until an administrator sets it to `reached_out`, once: a second attempt, and any
way back, is refused with 409, so that of two administrators one makes the call. E-mail and the
résumé's content are each taken by one lead only. The file lies beside the document (crud/files.py).
"""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Struct

from api.crud.access import Access, Who, principal
from api.crud.fields import (
    ADMIN_ONLY,
    CREATE_ONLY,
    READ_ONLY,
    UNIQUE,
    Attachment,
    FileInfo,
    Id,
    Time,
)
from api.crud.resource import EXACT, ORDERED, TEXT, Resource
from api.crud.rules import states
from api.store.document import now
from api.web import text as texts
from api.web.files import DOCUMENTS


class State(StrEnum):
    """How far we are with a lead."""

    PENDING = "pending"
    REACHED_OUT = "reached_out"


def stamps(_state: str) -> dict[str, Any]:
    """Who got in touch, and when."""
    return {"reached_out_at": now(), "reached_out_by": principal().id}


class Lead(Struct, kw_only=True):
    """A lead."""

    first_name: Annotated[str, texts.line(100), CREATE_ONLY]
    last_name: Annotated[str, texts.line(100), CREATE_ONLY]
    email: Annotated[str, texts.email, UNIQUE, CREATE_ONLY]
    resume: Annotated[FileInfo, Attachment(types=DOCUMENTS, unique=True)]
    state: Annotated[State, ADMIN_ONLY, states({State.REACHED_OUT: [State.PENDING]}, stamps)] = (
        State.PENDING
    )
    reached_out_at: Annotated[Time, READ_ONLY] | None = None
    reached_out_by: Annotated[Id, READ_ONLY] | None = None


LEADS = Resource(
    name="leads",
    fields=Lead,
    access=Access(
        list=Who.ADMIN,
        create=Who.ANYONE,
        get=Who.ADMIN,
        change=Who.ADMIN,
        delete=Who.ADMIN,
        bulk=Who.ADMIN,
    ),
    rate="register",
    filters={"state": EXACT, "email": TEXT, "last_name": TEXT, "created_at": ORDERED},
    sorts=("last_name",),
)

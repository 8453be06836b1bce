"""Leads: people who registered with their résumé. Anyone may; administrators get in touch.

A lead is `pending` until an administrator sets it to `reached_out`, once: a second attempt, and any
way back, is refused with 409, so that of two administrators one makes the call. E-mail and the
résumé's content are each taken by one lead only. The file lies beside the document
(crud/attachments.py).
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from api.crud import fields
from api.crud.access import Access, Role, Who, principal
from api.crud.attachments import Attachment, FileInfo
from api.crud.declaration import EXACT, ORDERED, TEXT, Resource
from api.crud.transitions import Transition
from api.crud.values import Id, Time
from api.store import Unique
from api.store.shape import now

ZIP = b"PK\x03\x04"
ODT = b"mimetypeapplication/vnd.oasis.opendocument.text"  # the first entry, stored (ODF 1.2, 3.3)
OPC = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"customXml/")  # of DOCX


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


def is_pdf(head: bytes) -> bool:
    """PDF (ISO 32000, 7.5.2)."""
    return head.startswith(b"%PDF-")


def is_docx(head: bytes) -> bool:
    """A zip whose first entry is one of an Office document."""
    return head.startswith(ZIP) and head[30:].startswith(OPC)


def is_odt(head: bytes) -> bool:
    """A zip that begins by saying so."""
    return head.startswith(ZIP) and head[30:].startswith(ODT)


def stamps(_state: str) -> dict[str, Any]:
    """Who got in touch, and when."""
    return {"reached_out_at": now(), "reached_out_by": principal().id}


RESUME = Attachment(
    field="resume",
    types={
        "application/pdf": is_pdf,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": is_docx,
        "application/vnd.oasis.opendocument.text": is_odt,
    },
)

LEADS = Resource(
    name="leads",
    create=NewLead,
    change={Role.ADMIN: LeadChange},
    read=Lead,
    unique=(Unique("email"), RESUME.unique),
    rules={
        "first_name": fields.line(100),
        "last_name": fields.line(100),
        "email": fields.email,
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
